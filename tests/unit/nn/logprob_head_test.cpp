#include "collimate/nn/logprob_head.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "gradient_check.hpp"

namespace collimate {
namespace {

using Tensors = std::vector<at::Tensor>;

constexpr std::int64_t kVocab = 23;
constexpr std::int64_t kResponses = 3;

// Rows of a stream of 12; row 4 stands twice, as the last row of a shared prompt does; response 1 has no row.
const std::vector<LabelledRow> kLabelledRows{{4, 7, 0},  {5, 22, 0}, {6, 0, 0}, {4, 9, 2},
                                             {11, 7, 2}, {10, 3, 2}, {2, 3, 2}};

std::vector<at::Tensor> hidden_and_weight() { return test::random_tensors({{12, 8}, {kVocab, 8}}); }

at::Tensor dense_tokens(const at::Tensor& hidden, const at::Tensor& weight) {
  const at::Tensor table = hidden.matmul(weight.t()).log_softmax(-1);
  std::vector<at::Tensor> values;
  for (const LabelledRow& row : kLabelledRows) values.push_back(table[row.row][row.label]);
  return at::stack(values);
}

at::Tensor dense_sums(const at::Tensor& hidden, const at::Tensor& weight) {
  const at::Tensor tokens = dense_tokens(hidden, weight);
  return at::stack({tokens.slice(0, 0, 3).sum(), at::zeros({}, at::kDouble), tokens.slice(0, 3).sum()});
}

TEST(LogProbHeadTest, equals_dense_log_softmax_for_every_chunk_size) {
  for (const std::int64_t chunk_rows : {0, 1, 2, 3, 6, 7, 100}) {
    SCOPED_TRACE(chunk_rows);
    const LogProbHeadOptions options{.chunk_bytes = chunk_rows * kVocab * 8 + 1};
    test::expect_same(
        [&](const Tensors& in) {
          return Tensors{response_log_probs(in[0], whole_head(in[1]), kLabelledRows, kResponses, options).sums};
        },
        [&](const Tensors& in) { return Tensors{dense_sums(in[0], in[1])}; }, hidden_and_weight());
  }
}

TEST(LogProbHeadTest, gives_each_token_in_the_order_of_the_rows) {
  const Tensors in = hidden_and_weight();
  const ResponseLogProbs got =
      response_log_probs(in[0], whole_head(in[1].clone().requires_grad_()), kLabelledRows, kResponses);
  EXPECT_LE(test::relative_difference(got.tokens, dense_tokens(in[0], in[1])), 1e-13);
  EXPECT_FALSE(got.tokens.requires_grad());
  EXPECT_EQ(got.tokens.scalar_type(), at::kDouble);
}

TEST(LogProbHeadTest, float32_logits_of_large_size_stay_exact) {
  Tensors in = hidden_and_weight();
  const Tensors large{in[0] * 60, in[1] * 3};
  const at::Tensor hidden = large[0].to(at::kFloat).requires_grad_();
  const at::Tensor sums =
      response_log_probs(hidden, whole_head(large[1].to(at::kFloat)), kLabelledRows, kResponses).sums;
  EXPECT_EQ(sums.scalar_type(), at::kDouble);
  EXPECT_LE(test::relative_difference(sums.detach(), dense_sums(large[0], large[1])), 1e-5);
  sums.sum().backward();
  EXPECT_TRUE(hidden.grad().isfinite().all().item<bool>());
}

TEST(LogProbHeadTest, is_the_same_to_the_bit_every_time) {
  const Tensors in = test::random_tensors({{12, 8}, {kVocab, 8}}, 11);
  const auto run = [&] {
    const at::Tensor weight = in[1].to(at::kFloat).requires_grad_();
    const LogProbHeadOptions options{.chunk_bytes = 3 * kVocab * 4};
    response_log_probs(in[0].to(at::kFloat), whole_head(weight), kLabelledRows, kResponses, options)
        .sums.sum()
        .backward();
    return weight.grad();
  };
  EXPECT_TRUE(at::equal(run(), run()));
}

TEST(LogProbHeadTest, no_rows_give_zero_sums_and_zero_gradients) {
  const Tensors in = hidden_and_weight();
  const at::Tensor weight = in[1].clone().requires_grad_();
  const at::Tensor sums = response_log_probs(in[0], whole_head(weight), {}, 2).sums;
  EXPECT_TRUE(at::equal(sums, at::zeros({2}, at::kDouble)));
  sums.sum().backward();
  EXPECT_TRUE(at::equal(weight.grad(), at::zeros_like(weight)));
}

TEST(LogProbHeadTest, refuses_rows_labels_and_responses_out_of_range) {
  const Tensors in = hidden_and_weight();
  for (const LabelledRow& wrong :
       {LabelledRow{12, 0, 0}, LabelledRow{-1, 0, 0}, LabelledRow{0, kVocab, 0}, LabelledRow{0, 0, kResponses}}) {
    EXPECT_THROW(response_log_probs(in[0], whole_head(in[1]), std::span(&wrong, 1), kResponses), InvariantError);
  }
}

}  // namespace
}  // namespace collimate
