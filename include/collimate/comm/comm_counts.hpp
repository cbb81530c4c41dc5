#pragma once
// What a group has carried: calls and bytes, by operation. Exact and pure: docs/parallelism.md has the same formulas.

#include <array>
#include <cstdint>
#include <string_view>

#include "collimate/config/enum_names.hpp"

namespace collimate {

enum class CommOperation { kAllReduce, kReduceScatter, kAllGather, kBroadcast, kSend, kControl };

template <>
inline constexpr auto enum_names<CommOperation> =
    std::to_array<EnumName<CommOperation>>({{CommOperation::kAllReduce, "all_reduce"},
                                            {CommOperation::kReduceScatter, "reduce_scatter"},
                                            {CommOperation::kAllGather, "all_gather"},
                                            {CommOperation::kBroadcast, "broadcast"},
                                            {CommOperation::kSend, "send"},
                                            {CommOperation::kControl, "control"}});

/// Calls of this rank, and the bytes that it sent to other ranks.
struct OperationCounts {
  std::int64_t num_calls = 0;
  std::int64_t sent_bytes = 0;
  bool operator==(const OperationCounts&) const = default;
};

/// Counts of every operation of one group on this rank. `kControl` is text and barriers: what steers a job, not what
/// it computes; its bytes are not counted.
class CommCounts {
 public:
  void add(CommOperation operation, std::int64_t sent_bytes) {
    OperationCounts& counts = counts_.at(static_cast<std::size_t>(operation));
    ++counts.num_calls;
    counts.sent_bytes += sent_bytes;
  }
  [[nodiscard]] const OperationCounts& of(CommOperation operation) const {
    return counts_.at(static_cast<std::size_t>(operation));
  }
  [[nodiscard]] std::int64_t sent_bytes() const {
    std::int64_t sum = 0;
    for (const OperationCounts& counts : counts_) sum += counts.sent_bytes;
    return sum;
  }
  bool operator==(const CommCounts&) const = default;

 private:
  std::array<OperationCounts, enum_names<CommOperation>.size()> counts_{};
};

/// Bytes that rank `rank` of `size` sends in one operation on a tensor of `elements` x `element_bytes` (for an
/// all-gather the rank's own part, for a reduce-scatter the whole that goes in, for a broadcast the root's).
/// All-reduce: everyone's ranges out, and the reduced own range out again; over all ranks 2 (size - 1) x bytes.
std::int64_t all_reduce_bytes(std::int64_t elements, std::int64_t element_bytes, int rank, int size);
constexpr std::int64_t reduce_scatter_bytes(std::int64_t input_bytes, int size) {
  return input_bytes / size * (size - 1);
}
constexpr std::int64_t all_gather_bytes(std::int64_t part_bytes, int size) { return part_bytes * (size - 1); }
constexpr std::int64_t broadcast_bytes(std::int64_t bytes, bool is_root, int size) {
  return is_root ? bytes * (size - 1) : 0;
}

}  // namespace collimate
