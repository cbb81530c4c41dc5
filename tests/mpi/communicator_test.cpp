// The `mpi` backend against closed forms: rank r contributes r + 1, so sums and maxima are known.

#include "collimate/comm/communicator.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "support/mpi_world.hpp"

namespace collimate {
namespace {

class CommunicatorTest : public testing::TestWithParam<std::tuple<at::ScalarType, int64_t>> {};

TEST_P(CommunicatorTest, all_reduce_gives_the_closed_form) {
  const auto [dtype, elements] = GetParam();
  const auto group = make_world_group();
  const int size = group->size();
  at::Tensor sum = at::arange(elements, dtype) % 7 + group->rank();
  at::Tensor maximum = sum.clone();
  group->all_reduce(sum, ReduceOp::kSum);
  group->all_reduce(maximum, ReduceOp::kMax);
  EXPECT_TRUE(at::equal(sum, (at::arange(elements, dtype) % 7) * size + size * (size - 1) / 2));
  EXPECT_TRUE(at::equal(maximum, at::arange(elements, dtype) % 7 + (size - 1)));
}

INSTANTIATE_TEST_SUITE_P(DtypesAndSizes, CommunicatorTest,
                         testing::Combine(testing::Values(at::kFloat, at::kDouble, at::kLong),
                                          testing::Values(0, 1, 13, (1 << 22) + 5)));

TEST(CommunicatorOrderTest, sums_run_in_rank_order) {
  const auto group = make_world_group();
  // In rank order 1e16 + 1 + 1 - ... rounds in one known way; another order would round otherwise.
  const double own = group->rank() == 0 ? 1e16 : 1.0;
  double expected = 1e16;
  for (int rank = 1; rank < group->size(); ++rank) expected += 1.0;
  at::Tensor value = at::full({3}, own, at::kDouble);
  group->all_reduce(value, ReduceOp::kSum);
  EXPECT_TRUE(at::equal(value, at::full({3}, expected, at::kDouble)));
}

TEST(CommunicatorBytesTest, gathers_in_rank_order_and_broadcasts_from_any_root) {
  const auto group = make_world_group();
  const auto all = group->all_gather_bytes(std::string(static_cast<std::size_t>(group->rank()), 'x'));
  ASSERT_EQ(static_cast<int>(all.size()), group->size());
  for (std::size_t rank = 0; rank < all.size(); ++rank) EXPECT_EQ(all[rank], std::string(rank, 'x'));

  const int root = group->size() - 1;
  std::string text = group->rank() == root ? "from the last rank" : "stale and longer than what will come in";
  group->broadcast_bytes(text, root);
  EXPECT_EQ(text, "from the last rank");
}

TEST(CommunicatorErrorTest, refuses_a_dtype_it_does_not_have) {
  const auto group = make_world_group();
  if (group->size() == 1) return;  // a group of one is the identity for any dtype
  at::Tensor flags = at::zeros({2}, at::kBool);
  EXPECT_THROW(group->all_reduce(flags, ReduceOp::kSum), Error);
}

}  // namespace
}  // namespace collimate
