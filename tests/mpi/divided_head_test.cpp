// The log-prob head with its vocabulary divided over the ranks, against log-softmax over all of it.

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/base/shard_range.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "support/mpi_world.hpp"
#include "unit/nn/gradient_check.hpp"

namespace collimate {
namespace {

using test::relative_difference;

constexpr std::int64_t kVocab = 23;  // 12 and 11; 6, 6, 6 and 5
constexpr std::int64_t kTokens = 11;
constexpr std::int64_t kHidden = 8;
constexpr std::int64_t kResponses = 3;

// Labels at both ends of every rank's part; row 4 stands twice; response 1 has no row.
const std::vector<LabelledRow> kRows{{4, 0, 0},   {5, 5, 0},  {6, 6, 0},  {4, 11, 2},
                                     {10, 12, 2}, {9, 17, 2}, {2, 18, 2}, {0, 22, 2}};

/// A head's results, and the gradients of a fixed weighting of its sums.
struct Result {
  at::Tensor sums;
  at::Tensor tokens;
  at::Tensor hidden_grad;
  at::Tensor weight_grad;
};

at::Tensor sum_weights() { return at::tensor({0.7, -3.0, 1.9}, at::kDouble); }

Result run_dense(const at::Tensor& hidden_values, const at::Tensor& weight_values) {
  const at::Tensor hidden = hidden_values.clone().requires_grad_();
  const at::Tensor weight = weight_values.clone().requires_grad_();
  const at::Tensor table = hidden.matmul(weight.t()).log_softmax(-1);
  std::vector<at::Tensor> values;
  for (const LabelledRow& row : kRows) values.push_back(table[row.row][row.label]);
  const at::Tensor tokens = at::stack(values);
  const at::Tensor sums =
      at::stack({tokens.slice(0, 0, 3).sum(), at::zeros({}, at::kDouble), tokens.slice(0, 3).sum()});
  sums.backward(sum_weights());
  return {.sums = sums.detach(), .tokens = tokens.detach(), .hidden_grad = hidden.grad(), .weight_grad = weight.grad()};
}

class DividedHeadTest : public testing::TestWithParam<bool> {
 protected:
  [[nodiscard]] TensorAxis axis() const { return {.group = group_.get(), .sequence_parallel = GetParam()}; }
  [[nodiscard]] ShardRange vocabulary() const { return shard_range(kVocab, axis().size(), axis().rank()); }
  [[nodiscard]] HeadShard head(const at::Tensor& weight) const {
    return {.weight = weight, .vocab_begin = vocabulary().begin, .vocab_size = kVocab, .axis = axis()};
  }
  /// This rank's part of the whole weight.
  [[nodiscard]] at::Tensor own_part(const at::Tensor& weight) const {
    return weight.narrow(0, vocabulary().begin, vocabulary().length);
  }
  /// This rank's rows of the padded stream.
  [[nodiscard]] at::Tensor own_rows(const at::Tensor& stream) const {
    const std::int64_t rows = axis().residual_rows(kTokens);
    return axis().divides_rows() ? stream.narrow(0, rows * axis().rank(), rows) : stream;
  }
  /// Hidden states of the padded stream, and the whole weight.
  [[nodiscard]] std::vector<at::Tensor> inputs(std::uint64_t seed) const {
    return test::random_tensors({{axis().padded_rows(kTokens), kHidden}, {kVocab, kHidden}}, seed);
  }

  [[nodiscard]] Result run_divided(const std::vector<at::Tensor>& in, std::int64_t chunk_rows) const {
    const at::Tensor hidden = own_rows(in[0]).clone().requires_grad_();
    const at::Tensor weight = own_part(in[1]).clone().requires_grad_();
    const LogProbHeadOptions options{.chunk_bytes = chunk_rows * vocabulary().length * 8 + 1};
    const ResponseLogProbs got = response_log_probs(hidden, head(weight), kRows, kResponses, options);
    got.sums.backward(sum_weights());
    return {
        .sums = got.sums.detach(), .tokens = got.tokens, .hidden_grad = hidden.grad(), .weight_grad = weight.grad()};
  }

 private:
  std::unique_ptr<Communicator> group_ = make_world_group();
};

INSTANTIATE_TEST_SUITE_P(SequenceParallel, DividedHeadTest, testing::Bool());

TEST_P(DividedHeadTest, equals_the_dense_one_for_every_chunk_size) {
  const std::vector<at::Tensor> in = inputs(7);
  const Result expected = run_dense(in[0], in[1]);
  for (const std::int64_t chunk_rows : {0, 1, 2, 3, 7, 8, 100}) {
    SCOPED_TRACE(chunk_rows);
    const Result got = run_divided(in, chunk_rows);
    EXPECT_LE(relative_difference(got.sums, expected.sums), 1e-12);
    EXPECT_LE(relative_difference(got.tokens, expected.tokens), 1e-12);
    EXPECT_LE(relative_difference(got.hidden_grad, own_rows(expected.hidden_grad)), 1e-12);
    EXPECT_LE(relative_difference(got.weight_grad, own_part(expected.weight_grad)), 1e-12);
  }
}

TEST_P(DividedHeadTest, logits_of_very_different_size_on_the_ranks_stay_finite) {
  std::vector<at::Tensor> in = inputs(8);
  in[0].mul_(30);  // log-probs of some hundreds, so that one rank's part is far above another's
  const Result expected = run_dense(in[0], in[1]);
  const Result got = run_divided(in, 3);
  EXPECT_TRUE(got.hidden_grad.isfinite().all().item<bool>());
  EXPECT_LE(relative_difference(got.sums, expected.sums), 1e-12);
  EXPECT_LE(relative_difference(got.weight_grad, own_part(expected.weight_grad)), 1e-12);
}

TEST_P(DividedHeadTest, every_rank_gets_the_same_bits) {
  const Result got = run_divided(inputs(9), 2);
  for (const at::Tensor& own : {got.sums, got.tokens}) {
    at::Tensor all = at::zeros({axis().size(), own.size(0)}, at::kDouble);
    axis().group->all_gather(all, own.contiguous());
    for (int tp_rank = 0; tp_rank < axis().size(); ++tp_rank) EXPECT_TRUE(at::equal(all[tp_rank], own)) << tp_rank;
  }
}

TEST_P(DividedHeadTest, no_rows_give_zero_sums_and_zero_gradients) {
  const std::vector<at::Tensor> in = inputs(7);
  const at::Tensor hidden = own_rows(in[0]).clone().requires_grad_();
  const at::Tensor weight = own_part(in[1]).clone().requires_grad_();
  const at::Tensor sums = response_log_probs(hidden, head(weight), {}, kResponses).sums;
  EXPECT_TRUE(at::equal(sums, at::zeros({kResponses}, at::kDouble)));
  sums.sum().backward();
  EXPECT_EQ(weight.grad().abs().sum().item<double>(), 0);
  EXPECT_EQ(hidden.grad().abs().sum().item<double>(), 0);
}

TEST_P(DividedHeadTest, a_label_beyond_the_whole_vocabulary_is_refused) {
  const std::vector<at::Tensor> in = inputs(7);
  const LabelledRow wrong{0, kVocab, 0};
  EXPECT_THROW(response_log_probs(own_rows(in[0]), head(own_part(in[1])), std::span(&wrong, 1), kResponses),
               InvariantError);
}

}  // namespace
}  // namespace collimate
