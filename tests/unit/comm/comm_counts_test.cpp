#include "collimate/comm/comm_counts.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(CommCountsTest, an_all_reduce_sends_everything_twice_but_to_oneself) {
  for (const int size : {1, 2, 3, 4, 7}) {
    for (const std::int64_t elements : {0, 1, 5, 100}) {
      std::int64_t sum = 0;
      for (int rank = 0; rank < size; ++rank) sum += all_reduce_bytes(elements, 4, rank, size);
      EXPECT_EQ(sum, 2 * (size - 1) * elements * 4) << size << " ranks, " << elements << " elements";
    }
  }
  // 5 elements on 2 ranks: rank 0 owns 3 of them, so it sends 2 out and 3 back.
  EXPECT_EQ(all_reduce_bytes(5, 8, 0, 2), (2 + 3) * 8);
  EXPECT_EQ(all_reduce_bytes(5, 8, 1, 2), (3 + 2) * 8);
}

TEST(CommCountsTest, the_other_formulas_count_what_goes_to_others) {
  EXPECT_EQ(reduce_scatter_bytes(120, 4), 90);
  EXPECT_EQ(all_gather_bytes(30, 4), 90);
  EXPECT_EQ(broadcast_bytes(30, true, 4), 90);
  EXPECT_EQ(broadcast_bytes(30, false, 4), 0);
}

TEST(CommCountsTest, operations_are_counted_apart_and_in_sum) {
  CommCounts counts;
  counts.add(CommOperation::kSend, 10);
  counts.add(CommOperation::kSend, 5);
  counts.add(CommOperation::kControl, 0);
  EXPECT_EQ(counts.of(CommOperation::kSend), (OperationCounts{.num_calls = 2, .sent_bytes = 15}));
  EXPECT_EQ(counts.of(CommOperation::kControl).num_calls, 1);
  EXPECT_EQ(counts.sent_bytes(), 15);
}

}  // namespace
}  // namespace collimate
