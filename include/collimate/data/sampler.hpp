#pragma once
// Which pairs make which global batch: a pure function of the seed, the sources and the step, so that a resumed run
// needs no saved state and every layout sees the same samples in the same order.

#include <cstdint>
#include <span>
#include <vector>

namespace collimate {

/// One source of a blend: its pairs after filtering, and how often an epoch uses them.
struct SourceSize {
  std::uint64_t num_pairs = 0;
  double repeat = 1.0;
  bool operator==(const SourceSize&) const = default;

  /// round(repeat * num_pairs).
  [[nodiscard]] std::uint64_t num_pairs_per_epoch() const;
};

struct SamplerOptions {
  std::uint64_t seed = 0;
  bool shuffle = true;  ///< false: the sources one after the other, each in file order
  std::int64_t global_batch_size = 1;
};

/// Where a step stands: steps, epochs and batches count from 0.
struct EpochPosition {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;
  bool operator==(const EpochPosition&) const = default;
};

/// Gives training batches as indices into the concatenation of all sources. An epoch takes round(repeat * pairs) of
/// each source: whole copies, and for the rest a subset without replacement, drawn anew each epoch. Its last batch may
/// be smaller; none is dropped and none spans two epochs.
class Sampler {
 public:
  /// Throws InputError when an epoch would have no pairs, or a batch size or repeat is out of range.
  Sampler(const SamplerOptions& options, std::vector<SourceSize> sources);

  /// The pairs of optimizer step `global_step` (from 0). The epoch's order is kept until another epoch is asked for.
  /// *Local.* One thread at a time.
  [[nodiscard]] std::vector<std::uint64_t> batch(std::int64_t global_step);

  /// All pairs of an epoch in their order; the concatenation of its batches.
  [[nodiscard]] std::vector<std::uint64_t> epoch_order(std::int64_t epoch) const;

  [[nodiscard]] std::uint64_t num_pairs_per_epoch() const;
  [[nodiscard]] std::int64_t num_batches_per_epoch() const;
  [[nodiscard]] EpochPosition position(std::int64_t global_step) const;
  /// Epochs done before `global_step`, in fractions: what the metric `epoch` shows.
  [[nodiscard]] double epochs_done(std::int64_t global_step) const;

 private:
  SamplerOptions options_;
  std::vector<SourceSize> sources_;
  std::int64_t cached_epoch_ = -1;
  std::vector<std::uint64_t> cached_order_;
};

/// Evaluation takes each of `num_pairs` pairs exactly once, in file order, whatever the layout: batches
/// [0, num_evaluation_batches), the last one smaller when the sizes do not divide.
std::int64_t num_evaluation_batches(std::uint64_t num_pairs, std::int64_t batch_size);
std::vector<std::uint64_t> evaluation_batch(std::uint64_t num_pairs, std::int64_t batch_size, std::int64_t batch_index);

}  // namespace collimate
