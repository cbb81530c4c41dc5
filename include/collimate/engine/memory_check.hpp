#pragma once
// Whether a run fits in memory, asked before anything is loaded.

#include <cstdint>
#include <optional>
#include <span>

#include "collimate/data/preference_dataset.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/job/config.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/plan/job_memory.hpp"

namespace collimate {

/// *Local.* Packs what any rank may meet in a first epoch: the microbatches of the rank and step with the longest of
/// all. Not owned: both.
PackStep step_packer(const ModelSpec& spec, const PreferenceDataset& dataset);

/// *Local.* Throws InputError unless `memory` stays within `limit` bytes: it says what takes how much, where the limit
/// is from, and which setting would fit.
void require_fit(const RankMemory& memory, std::int64_t limit, const RunConfig& config, const ModelSpec& spec,
                 const MeshShape& shape, const PackStep& pack);

/// *Collective.* What this rank's tensors may take: runtime.memory_bytes, or what its device has free, or its share of
/// what its host has.
std::int64_t memory_limit(const RuntimeConfig& config, const ProcessMesh& mesh);

/// *Collective.* What training takes on this rank. Throws AgreedError where it does not fit.
RankMemory require_training_fits(const RunConfig& config, const ModelSpec& spec, const PreferenceDataset& dataset,
                                 const ProcessMesh& mesh);

/// *Local.* The sizes of all microbatches of an evaluation.
std::vector<StreamSize> evaluation_streams(const BatchSource& source, std::int64_t eval_batch_size);

/// *Collective.* Throws AgreedError where scoring or evaluation does not fit on a rank, for microbatches that are at
/// most as large as any of `streams`.
void require_forward_fits(const RunConfig& config, const ForwardWeights& weights, const ModelSpec& spec,
                          std::span<const StreamSize> streams, const ProcessMesh& mesh);

}  // namespace collimate
