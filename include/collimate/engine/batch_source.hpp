#pragma once
// From the pairs of a global batch to this rank's microbatches. Planning is pure and the same on every rank; only this
// rank's tokens are read.

#include <cstdint>
#include <span>
#include <vector>

#include "collimate/data/microbatch.hpp"
#include "collimate/data/packer.hpp"
#include "collimate/data/preference_dataset.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/nn/stage_memory.hpp"
#include "collimate/objective/objective.hpp"

namespace collimate {

/// What this rank does of one global batch.
struct BatchPlan {
  BatchTotals totals;                                    // of the whole batch, the same on every rank
  std::uint64_t num_stream_tokens = 0;                   // of the whole batch
  std::vector<std::vector<std::uint64_t>> microbatches;  // this rank's, as pair indices
};

/// Plans and reads batches of one data set. *Local* throughout. Not owned: the data set must outlive the source.
class BatchSource {
 public:
  BatchSource(const PreferenceDataset& dataset, PackingOptions packing, int dp_rank)
      : dataset_(dataset), packing_(packing), dp_rank_(dp_rank) {}

  /// Lays out the pairs of one global batch over the data axis.
  [[nodiscard]] BatchPlan plan(std::span<const std::uint64_t> pair_indices) const;
  /// The sizes of all ranks' microbatches of a batch: [data rank][microbatch].
  [[nodiscard]] std::vector<std::vector<StreamSize>> stream_sizes(std::span<const std::uint64_t> pair_indices) const;
  /// Reads the tokens of one planned microbatch.
  [[nodiscard]] MicroBatch read(std::span<const std::uint64_t> pair_indices) const;

  /// Reads all of this rank's microbatches of a batch.
  [[nodiscard]] std::vector<MicroBatch> read_all(const BatchPlan& plan) const;

  [[nodiscard]] const PreferenceDataset& dataset() const noexcept { return dataset_; }
  [[nodiscard]] const PairLayout& layout() const noexcept { return packing_.layout; }

 private:
  [[nodiscard]] std::vector<PairLengths> lengths_of(std::span<const std::uint64_t> pair_indices) const;

  const PreferenceDataset& dataset_;
  PackingOptions packing_;
  int dp_rank_;
};

/// *Local.* The sizes of microbatches whose pairs stand at these positions of `lengths`.
std::vector<StreamSize> packed_sizes(std::span<const PairLengths> lengths,
                                     std::span<const PackingPlan::MicroBatchIndices> microbatches,
                                     const PairLayout& layout);

/// The responses that have to be in the stream for these losses.
constexpr Responses needed_responses(const LossNeeds& needs) {
  return needs.rejected ? Responses::kBoth : Responses::kChosenOnly;
}

/// The packing that a run's configuration asks for, with the model's own ratio of attention to matrix cost.
PackingOptions packing_options(const BatchConfig& config, const MeshShape& mesh, const ModelSpec& spec,
                               Responses responses);

}  // namespace collimate
