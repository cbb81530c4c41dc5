#pragma once
// How a rank's parameters lie in one flat buffer and how that is divided over the data axis: in buckets, which are
// reduced and gathered one at a time, and each bucket in an equal part for every rank (Rajbhandari et al., "ZeRO",
// arXiv 1910.02054). Pure.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "collimate/base/shard_range.hpp"
#include "collimate/model/rank_tensors.hpp"

namespace collimate {

/// One parameter of the rank, in the order of rank_tensors().
struct PlannedParameter {
  std::int64_t elements = 0;
  GradientSum gradient_sum = GradientSum::kNone;
  std::vector<int> stages = {0};  ///< PlacedTensor::stages
};

/// Most elements of a bucket, but for the parameter that fills it: 128 MB of float32.
inline constexpr std::int64_t kMostBucketElements = std::int64_t{32} * 1024 * 1024;
inline constexpr std::int64_t kLeastBucketElements = std::int64_t{512} * 1024;

/// Large enough to use a link well, small enough that most of the parameters' gradients are under way while a backward
/// pass is at the others: a 32nd of the rank's parameters, within the bounds above.
std::int64_t bucket_elements_for(std::span<const PlannedParameter> parameters);

/// Parts are whole multiples of this: kernels go through a tensor in vectors and treat the few elements behind them
/// otherwise, to the last bit. So an element has the same bits in whichever part it lies.
inline constexpr std::int64_t kPartElements = 64;

/// What a plan needs to know of a rank's tensors.
std::vector<PlannedParameter> planned_parameters(std::span<const PlacedTensor> tensors);

/// Consecutive parameters of the same stages whose gradients are summed over the same copies.
struct Bucket {
  ShardRange flat;  ///< Elements of the flat buffer: num_ranks equal parts. The last few may be nobody's.
  std::size_t first_parameter = 0;
  std::size_t end_parameter = 0;
  GradientSum gradient_sum = GradientSum::kNone;
  std::vector<int> stages = {};
  std::int64_t shard_begin = 0;  ///< Where a rank's part of it lies in the rank's shard.

  bool operator==(const Bucket&) const = default;
};

/// The same on every rank of a data axis.
class ShardPlan {
 public:
  /// Closes a bucket once it has `bucket_elements`; unset: bucket_elements_for.
  ShardPlan(std::span<const PlannedParameter> parameters, int num_ranks,
            std::optional<std::int64_t> bucket_elements = {});

  [[nodiscard]] int num_ranks() const { return num_ranks_; }
  [[nodiscard]] std::size_t num_parameters() const { return parameters_.size(); }
  [[nodiscard]] std::span<const Bucket> buckets() const { return buckets_; }
  /// Elements of the flat buffer, and of one rank's shard of it: its parts of all buckets, one after the other.
  [[nodiscard]] std::int64_t flat_elements() const { return shard_elements() * num_ranks_; }
  [[nodiscard]] std::int64_t shard_elements() const { return shard_elements_; }

  [[nodiscard]] std::size_t bucket_of(std::size_t parameter) const { return bucket_of_parameter_.at(parameter); }
  /// Buckets in the order in which a backward pass has all of their gradients: from the last layer on; parameters that
  /// are summed over copies, which are few or come last, behind the others.
  [[nodiscard]] std::vector<std::size_t> completion_order() const;

  /// Where a parameter lies in the flat buffer.
  [[nodiscard]] ShardRange parameter(std::size_t index) const { return parameters_.at(index); }
  [[nodiscard]] std::int64_t part_elements(const Bucket& bucket) const { return bucket.flat.length / num_ranks_; }
  /// A rank's part of a bucket, in the flat buffer.
  [[nodiscard]] ShardRange part(const Bucket& bucket, int rank) const;
  /// The elements of a parameter that are in a rank's part of its bucket, counted from the part's begin; perhaps none.
  [[nodiscard]] ShardRange parameter_part(std::size_t index, int rank) const;

 private:
  int num_ranks_;
  std::vector<ShardRange> parameters_;
  std::vector<std::size_t> bucket_of_parameter_;
  std::vector<Bucket> buckets_;
  std::int64_t shard_elements_ = 0;
};

}  // namespace collimate
