// The tensor axis against closed forms: rank r contributes r + 1 times a tensor that all ranks know.

#include "collimate/nn/tensor_axis.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <gtest/gtest.h>

#include "collimate/base/shard_range.hpp"
#include "collimate/nn/linear.hpp"
#include "support/mpi_world.hpp"
#include "unit/nn/gradient_check.hpp"

namespace collimate {
namespace {

using test::relative_difference;

constexpr std::int64_t kRows = 3;  // of the residual stream on a rank, where rows are divided
constexpr std::int64_t kSize = 5;

class TensorAxisTest : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] bool divides_rows() const { return GetParam(); }
  [[nodiscard]] std::int64_t num_ranks() const { return group_->size(); }
  [[nodiscard]] std::int64_t rank() const { return group_->rank(); }
  [[nodiscard]] TensorAxis axis() const { return {.group = group_.get(), .sequence_parallel = GetParam()}; }
  [[nodiscard]] double own_factor() const { return static_cast<double>(rank() + 1); }
  /// 1 + 2 + ... + n.
  [[nodiscard]] double sum_of_factors() const { return static_cast<double>(num_ranks() * (num_ranks() + 1) / 2); }

  /// A tensor of the whole stream, the same on every rank.
  [[nodiscard]] at::Tensor stream(std::uint64_t seed) const {
    return test::random_tensors({{kRows * num_ranks(), kSize}}, seed)[0];
  }
  /// What this rank holds of it in the residual stream.
  [[nodiscard]] at::Tensor own_rows(const at::Tensor& whole) const {
    return divides_rows() ? whole.narrow(0, rank() * kRows, kRows) : whole;
  }

 private:
  std::unique_ptr<Communicator> group_ = make_world_group();
};

INSTANTIATE_TEST_SUITE_P(SequenceParallel, TensorAxisTest, testing::Bool());

TEST_P(TensorAxisTest, what_enters_is_the_whole_stream_and_its_gradients_are_summed) {
  const at::Tensor residual = own_rows(stream(1)).clone().requires_grad_();
  const at::Tensor entered = enter_tensor_axis(residual, axis());
  EXPECT_LE(relative_difference(entered.detach(), stream(1)), 0);
  entered.backward(stream(2) * own_factor());
  EXPECT_LE(relative_difference(residual.grad(), own_rows(stream(2)) * sum_of_factors()), 1e-14);
}

TEST_P(TensorAxisTest, what_leaves_is_the_sum_and_its_gradient_reaches_every_rank) {
  const at::Tensor partial = (stream(1) * own_factor()).requires_grad_();
  const at::Tensor left = leave_tensor_axis(partial, axis());
  EXPECT_LE(relative_difference(left.detach(), own_rows(stream(1)) * sum_of_factors()), 1e-14);
  left.backward(own_rows(stream(2)));
  EXPECT_LE(relative_difference(partial.grad(), stream(2)), 0);
}

TEST_P(TensorAxisTest, a_gradient_that_is_no_contiguous_block_is_taken_as_it_is) {
  const at::Tensor residual = own_rows(stream(1)).clone().requires_grad_();
  const at::Tensor turned = stream(2).t().contiguous().t();
  enter_tensor_axis(residual, axis()).backward(turned * own_factor());
  EXPECT_LE(relative_difference(residual.grad(), own_rows(stream(2)) * sum_of_factors()), 1e-14);
}

/// Gradients of the residual stream and of this rank's parts of a pair of matrices over 13 neurons.
struct PairResult {
  at::Tensor output;
  at::Tensor residual_grad;
  at::Tensor up_grad;
  at::Tensor down_grad;
};

PairResult run_pair(const TensorAxis& axis, const at::Tensor& residual, const at::Tensor& up, const at::Tensor& down,
                    const at::Tensor& output_grad) {
  const at::Tensor x = residual.clone().requires_grad_();
  const at::Tensor first = up.clone().requires_grad_();
  const at::Tensor second = down.clone().requires_grad_();
  const at::Tensor neurons = linear({.value = enter_tensor_axis(x, axis)}, {.weight = first, .bias = {}}).tanh();
  const at::Tensor output = leave_tensor_axis(linear({.value = neurons}, {.weight = second, .bias = {}}), axis);
  output.backward(output_grad);
  return {.output = output.detach(), .residual_grad = x.grad(), .up_grad = first.grad(), .down_grad = second.grad()};
}

TEST_P(TensorAxisTest, a_pair_of_divided_matrices_equals_the_whole_ones) {
  const at::Tensor up = test::random_tensors({{13, kSize}}, 5)[0];
  const at::Tensor down = test::random_tensors({{kSize, 13}}, 6)[0];
  const PairResult whole = run_pair({}, stream(1), up, down, stream(2));
  const ShardRange own = shard_range(13, num_ranks(), rank());
  const PairResult part = run_pair(axis(), own_rows(stream(1)), up.narrow(0, own.begin, own.length),
                                   down.narrow(1, own.begin, own.length), own_rows(stream(2)));
  EXPECT_LE(relative_difference(part.output, own_rows(whole.output)), 1e-13);
  EXPECT_LE(relative_difference(part.residual_grad, own_rows(whole.residual_grad)), 1e-13);
  EXPECT_LE(relative_difference(part.up_grad, whole.up_grad.narrow(0, own.begin, own.length)), 1e-13);
  EXPECT_LE(relative_difference(part.down_grad, whole.down_grad.narrow(1, own.begin, own.length)), 1e-13);
}

TEST_P(TensorAxisTest, rows_are_padded_so_that_every_rank_has_as_many) {
  for (std::int64_t num_tokens = 0; num_tokens <= 9; ++num_tokens) {
    const std::int64_t rows = axis().residual_rows(num_tokens);
    const std::int64_t padded = axis().padded_rows(num_tokens);
    EXPECT_GE(padded, num_tokens);
    EXPECT_LT(padded, num_tokens + num_ranks()) << "no more than one row a rank is padding";
    EXPECT_EQ(padded, divides_rows() ? rows * num_ranks() : num_tokens);
    EXPECT_EQ(rows, divides_rows() ? (num_tokens + num_ranks() - 1) / num_ranks() : num_tokens);
  }
  const TensorShard shard = axis().shard();
  EXPECT_EQ(shard.tp_rank, rank());
  EXPECT_EQ(shard.tp_size, num_ranks());
  EXPECT_EQ(shard.sequence_parallel, divides_rows() && num_ranks() > 1);
}

}  // namespace
}  // namespace collimate
