#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/plan/job_memory.hpp"

namespace collimate {

namespace {

/// A configuration, and how it differs from the one that was asked for.
struct Candidate {
  RunConfig config;
  std::vector<std::string> changes;
};

using Change = void (*)(Candidate&);

void save_synchronously(Candidate& candidate) {
  CheckpointConfig& saving = candidate.config.checkpoint;
  // Elsewhere the copies are not in the device's memory.
  if (!saving.asynchronous || candidate.config.runtime.device != DeviceType::kCpu) return;
  saving.asynchronous = false;
  candidate.changes.emplace_back("checkpoint.asynchronous: false");
}

void recompute(Candidate& candidate, Recompute recompute) {
  if (candidate.config.model.recompute >= recompute) return;
  candidate.config.model.recompute = recompute;
  candidate.changes.push_back(fmt::format("model.recompute: {}", enum_name(recompute)));
}

void zero_stage(Candidate& candidate, int zero_stage) {
  if (candidate.config.parallel.zero_stage >= zero_stage) return;
  candidate.config.parallel.zero_stage = zero_stage;
  candidate.changes.push_back(fmt::format("parallel.zero_stage: {}", zero_stage));
}

void divide_microbatches(Candidate& candidate, std::int64_t divisor) {
  const std::int64_t tokens = std::max<std::int64_t>(1, candidate.config.batch.microbatch_tokens / divisor);
  if (candidate.config.batch.microbatch_tokens <= tokens) return;
  candidate.config.batch.microbatch_tokens = tokens;
  candidate.changes.push_back(fmt::format("batch.microbatch_tokens: {}", tokens));
}

/// What only costs time, from the cheapest on; then all of it together.
std::vector<Candidate> cheap_candidates(const RunConfig& config, const MeshShape& shape) {
  std::vector<Candidate> candidates;
  const auto add = [&](const auto& change) {
    Candidate candidate{.config = config, .changes = {}};
    change(candidate);
    if (!candidate.changes.empty()) candidates.push_back(std::move(candidate));
  };
  const auto stage_2 = [&](Candidate& candidate) {
    if (shape.data > 1) zero_stage(candidate, 2);
  };
  add(save_synchronously);
  if (shape.data > 1) add([](Candidate& candidate) { zero_stage(candidate, 1); });
  add([](Candidate& candidate) { recompute(candidate, Recompute::kSelective); });
  add([](Candidate& candidate) { divide_microbatches(candidate, 2); });
  add(stage_2);
  add([](Candidate& candidate) { recompute(candidate, Recompute::kFull); });
  add([](Candidate& candidate) { divide_microbatches(candidate, 4); });
  for (const std::int64_t divisor : {1, 2, 4, 1024}) {
    for (const Recompute again : {Recompute::kSelective, Recompute::kFull}) {
      add([&](Candidate& candidate) {
        stage_2(candidate);
        recompute(candidate, again);
        divide_microbatches(candidate, divisor);
        save_synchronously(candidate);
      });
    }
  }
  return candidates;
}

/// More ranks for each copy of the model, at the cost of the data axis.
std::vector<Candidate> divided_candidates(const RunConfig& config, const MeshShape& shape) {
  std::vector<Candidate> candidates;
  for (int factor = 2; factor <= shape.data; ++factor) {
    if (shape.data % factor != 0) continue;
    for (const bool by_tensor : {true, false}) {
      Candidate candidate{.config = config, .changes = {}};
      ParallelConfig& parallel = candidate.config.parallel;
      int& degree = by_tensor ? parallel.tensor : parallel.pipeline;
      degree *= factor;
      candidate.changes.push_back(fmt::format("parallel.{}: {}", by_tensor ? "tensor" : "pipeline", degree));
      if (parallel.data) {
        parallel.data = shape.data / factor;
        candidate.changes.push_back(fmt::format("parallel.data: {}", *parallel.data));
      }
      if (!by_tensor) parallel.layers_per_stage.reset();
      candidates.push_back(candidate);
      zero_stage(candidate, shape.data == factor ? 1 : 2);
      recompute(candidate, Recompute::kFull);
      save_synchronously(candidate);
      candidates.push_back(std::move(candidate));
    }
  }
  return candidates;
}

/// Bytes of the largest rank; nothing where the model does not allow the degrees.
std::optional<std::int64_t> largest(const Candidate& candidate, const ModelSpec& spec, int num_ranks,
                                    const PackStep& pack) {
  try {
    const MeshShape shape = mesh_shape(candidate.config.parallel, num_ranks);
    const std::vector<StreamSize> microbatches = pack(candidate.config, shape);
    std::int64_t bytes = 0;
    // Data ranks are alike, but for rank 0, which is the first of its part of the pipeline.
    for (int pp_rank = 0; pp_rank < shape.pipeline; ++pp_rank) {
      const int rank = world_rank_of(shape, {.pp_rank = pp_rank});
      bytes = std::max(bytes, rank_memory(candidate.config, spec, shape, rank, microbatches).peak());
    }
    return bytes;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

}  // namespace

std::optional<FittingChange> nearest_fit(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape,
                                         const PackStep& pack, std::int64_t limit) {
  std::vector<Candidate> candidates = cheap_candidates(config, shape);
  std::ranges::move(divided_candidates(config, shape), std::back_inserter(candidates));
  for (const Candidate& candidate : candidates) {
    const auto bytes = largest(candidate, spec, shape.num_ranks(), pack);
    if (bytes && *bytes <= limit) {
      return FittingChange{.settings = fmt::format("{}", fmt::join(candidate.changes, ", ")), .bytes = *bytes};
    }
  }
  return std::nullopt;
}

}  // namespace collimate
