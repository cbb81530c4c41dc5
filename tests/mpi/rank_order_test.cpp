// Sums of the `mpi` backend run in rank order, whatever the number of ranks and elements.

#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sin.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/mpi_world.hpp"

namespace collimate {
namespace {

// Values of one rank whose sum rounds.
at::Tensor values_of(int rank, std::int64_t elements, at::ScalarType dtype) {
  constexpr std::int64_t kPeriod = 10'007;
  const at::Tensor wave = at::sin(at::arange(kPeriod, at::kDouble) + 0.37 * rank) * (rank == 0 ? 1e4 : 1.0);
  return wave.to(dtype).repeat({elements / kPeriod + 1}).narrow(0, 0, elements);
}

at::Tensor sum_in_rank_order(int size, std::int64_t elements, at::ScalarType dtype) {
  const at::ScalarType sum_dtype = dtype == at::kBFloat16 ? at::kFloat : dtype;
  at::Tensor sum = values_of(0, elements, dtype).to(sum_dtype);
  for (int rank = 1; rank < size; ++rank) sum += values_of(rank, elements, dtype).to(sum_dtype);
  return sum.to(dtype);
}

class RankOrderTest : public testing::TestWithParam<std::tuple<at::ScalarType, std::int64_t>> {};

TEST_P(RankOrderTest, all_reduce_adds_in_rank_order) {
  const auto [dtype, elements] = GetParam();
  const auto group = make_world_group();
  at::Tensor sum = values_of(group->rank(), elements, dtype);
  group->all_reduce(sum, ReduceOp::kSum);
  EXPECT_TRUE(at::equal(sum, sum_in_rank_order(group->size(), elements, dtype)));
}

TEST_P(RankOrderTest, reduce_scatter_adds_in_rank_order) {
  const auto [dtype, elements] = GetParam();
  const auto group = make_world_group();
  const std::int64_t all = elements * group->size();
  at::Tensor part = at::empty({elements}, dtype);
  group->reduce_scatter(part, values_of(group->rank(), all, dtype));
  const at::Tensor expected = sum_in_rank_order(group->size(), all, dtype);
  EXPECT_TRUE(at::equal(part, expected.narrow(0, group->rank() * elements, elements)));
}

// With the last size a rank's range is longer than one block (ordered_reduce.cpp).
INSTANTIATE_TEST_SUITE_P(DtypesAndSizes, RankOrderTest,
                         testing::Combine(testing::Values(at::kFloat, at::kDouble, at::kBFloat16),
                                          testing::Values(1, 13, (1 << 20) + 5)));

TEST(RankOrderTest, the_order_of_a_reversed_group_is_its_own) {
  const auto world = make_world_group();
  std::vector<int> reversed;
  for (int rank = world->size(); rank-- > 0;) reversed.push_back(rank);
  const auto group = environment().make_group("reversed", reversed);
  // From rank 0 on, 1e16 + 1 rounds back to 1e16 every time; from the other end the ones add up first.
  const double own = group->rank() == 0 ? 1e16 : 1.0;
  double expected = 1e16;
  for (int rank = 1; rank < group->size(); ++rank) expected += 1.0;
  at::Tensor value = at::full({3}, own, at::kDouble);
  group->all_reduce(value, ReduceOp::kSum);
  EXPECT_TRUE(at::equal(value, at::full({3}, expected, at::kDouble)));
}

TEST(MpiCommunicatorTest, takes_cpu_tensors_alone) {
  const auto group = make_world_group();
  if (group->size() == 1) return;  // the identity
  at::Tensor elsewhere = at::empty({2}, at::TensorOptions(at::kMeta).dtype(at::kFloat));
  EXPECT_THROW(group->all_reduce(elsewhere, ReduceOp::kSum), InvariantError);
}

}  // namespace
}  // namespace collimate
