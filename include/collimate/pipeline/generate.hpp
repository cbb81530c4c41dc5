#pragma once
// The generators: which order each schedule type puts the compute actions in. Pure.

#include <vector>

#include "collimate/mesh/config.hpp"
#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// What a schedule is made for; the first three are keys of `parallel`.
struct ScheduleOptions {
  ScheduleType type = ScheduleType::k1f1b;
  int num_ranks = 1;       ///< of the pipeline axis
  int virtual_stages = 1;  ///< stages on each of them
  int num_microbatches = 0;

  bool operator==(const ScheduleOptions&) const = default;
};

/// The pp_rank of each stage: stage s on rank s % num_ranks, but for zbv, whose second half goes back from the last
/// rank to the first. *Local.* Throws InputError that names the right number where the type does not take
/// `virtual_stages`: interleaved takes any, zbv two, the others one.
std::vector<int> place_stages(ScheduleType type, int num_ranks, int virtual_stages);

/// The compute actions of a training step, no messages. Any number of microbatches will do, also 0 and fewer than
/// stages. *Local.* gpipe: all forwards, then all backwards (Huang et al., "GPipe", NeurIPS 2019). 1f1b: a warm-up of
/// the ranks that follow, then forward and backward in turns (Narayanan et al., "Memory-Efficient Pipeline-Parallel DNN
/// Training", ICML 2021). interleaved: the same with several stages a rank, microbatches in groups of num_ranks
/// (Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters Using Megatron-LM", SC 2021).
/// zb_h1 and zbv have weight gradients apart, which fill the gaps (Qi et al., "Zero Bubble Pipeline Parallelism", ICLR
/// 2024; Qi et al., "Pipeline Parallelism with Controllable Memory", NeurIPS 2024). Throws as place_stages does.
Schedule generate_schedule(const ScheduleOptions& options);

/// Forward passes alone, for scoring and evaluation, no messages: each rank takes the deepest stage that has its input.
/// `rank_of_stage` is [num_stages]; every rank up to the highest must hold a stage. *Local.*
Schedule forward_schedule(const std::vector<int>& rank_of_stage, int num_microbatches);

}  // namespace collimate
