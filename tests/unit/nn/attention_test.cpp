#include "collimate/nn/attention.hpp"

#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "gradient_check.hpp"

namespace collimate {
namespace {

// A pair with a shared prompt of 40 rows, then a plain sequence: 150 rows in all.
const std::vector<Segment> kSegments{{.begin = 0, .length = 70, .prefix_begin = 0, .prefix_length = 0},
                                     {.begin = 70, .length = 50, .prefix_begin = 0, .prefix_length = 40},
                                     {.begin = 120, .length = 30, .prefix_begin = 0, .prefix_length = 0}};
constexpr std::int64_t kRows = 150;

// Which rows a segment's rows see, as one dense mask over the stream: true where hidden.
at::Tensor hidden_mask(std::optional<std::int64_t> window) {
  at::Tensor hidden = at::ones({kRows, kRows}, at::kBool);
  auto access = hidden.accessor<bool, 2>();
  for (const Segment& segment : kSegments) {
    for (std::int64_t i = 0; i < segment.length; ++i) {
      const std::int64_t position = segment.prefix_length + i;
      for (std::int64_t other = 0; other <= position; ++other) {
        const std::int64_t key = other < segment.prefix_length ? segment.prefix_begin + other
                                                               : segment.begin + other - segment.prefix_length;
        access[segment.begin + i][key] = window && other <= position - *window;
      }
    }
  }
  return hidden;
}

at::Tensor dense_scores(const at::Tensor& q, const at::Tensor& k, std::optional<std::int64_t> window) {
  const std::int64_t group = q.size(1) / k.size(1);
  const at::Tensor keys = k.repeat_interleave(group, 1).permute({1, 2, 0});
  const at::Tensor scores = q.transpose(0, 1).matmul(keys) / std::sqrt(static_cast<double>(q.size(2)));
  return scores.masked_fill(hidden_mask(window), -std::numeric_limits<double>::infinity());
}

at::Tensor dense_attention(const std::vector<at::Tensor>& qkv, std::optional<std::int64_t> window) {
  const at::Tensor values = qkv[2].repeat_interleave(qkv[0].size(1) / qkv[2].size(1), 1).transpose(0, 1);
  return dense_scores(qkv[0], qkv[1], window).softmax(-1).matmul(values).transpose(0, 1);
}

struct Heads {
  std::int64_t num_heads;
  std::int64_t num_kv_heads;
  std::int64_t head_dim;
};

std::vector<at::Tensor> random_qkv(const Heads& heads) {
  return test::random_tensors({{kRows, heads.num_heads, heads.head_dim},
                               {kRows, heads.num_kv_heads, heads.head_dim},
                               {kRows, heads.num_kv_heads, heads.head_dim}});
}

TEST(AttentionTest, equals_dense_attention_with_its_gradients) {
  for (const Heads& heads : {Heads{4, 4, 8}, Heads{6, 2, 16}, Heads{5, 1, 6}}) {
    for (const std::optional<std::int64_t> window :
         std::vector<std::optional<std::int64_t>>{std::nullopt, 1, 2, 7, 33, 41, 64, 89, 90}) {
      SCOPED_TRACE(testing::Message() << heads.num_kv_heads << " kv heads, window " << window.value_or(0));
      test::expect_same([&](const auto& qkv) { return std::vector{test::attend(qkv, kSegments, window).out}; },
                        [&](const auto& qkv) { return std::vector{dense_attention(qkv, window)}; }, random_qkv(heads));
    }
  }
}

TEST(AttentionTest, gives_the_log_sum_exp_of_all_visible_keys) {
  const std::vector<at::Tensor> qkv = random_qkv({6, 2, 16});
  for (const std::optional<std::int64_t> window : std::vector<std::optional<std::int64_t>>{std::nullopt, 7}) {
    const at::Tensor expected = dense_scores(qkv[0], qkv[1], window).logsumexp(-1).t();
    const at::Tensor got = test::attend(qkv, kSegments, window).log_sum_exp;
    EXPECT_LE(test::relative_difference(got, expected), 1e-13);
    EXPECT_FALSE(got.requires_grad());
  }
}

TEST(AttentionTest, takes_strided_views) {
  const std::vector<at::Tensor> qkv = random_qkv({6, 2, 16});
  const at::Tensor packed = at::cat(qkv, 1);
  const at::Tensor apart = test::attend(qkv, kSegments, std::nullopt).out;
  const at::Tensor joined =
      test::attend({packed.narrow(1, 0, 6), packed.narrow(1, 6, 2), packed.narrow(1, 8, 2)}, kSegments, std::nullopt)
          .out;
  EXPECT_TRUE(at::equal(apart, joined));
  EXPECT_TRUE(joined.is_contiguous());
}

TEST(AttentionTest, scores_of_large_size_stay_finite) {
  std::vector<at::Tensor> qkv = random_qkv({2, 2, 8});
  for (at::Tensor& tensor : qkv) tensor = tensor.mul(100).to(at::kFloat).requires_grad_();
  for (const std::optional<std::int64_t> window : std::vector<std::optional<std::int64_t>>{std::nullopt, 3}) {
    const at::Tensor out = test::attend(qkv, kSegments, window).out;
    EXPECT_TRUE(out.isfinite().all().item<bool>());
    out.sum().backward();
    for (const at::Tensor& tensor : qkv) EXPECT_TRUE(tensor.grad().isfinite().all().item<bool>());
  }
}

TEST(AttentionTest, rows_in_no_segment_and_empty_streams_give_zeros) {
  const std::vector<at::Tensor> qkv = random_qkv({4, 2, 8});
  const std::vector<Segment> some{{.begin = 0, .length = 10, .prefix_begin = 0, .prefix_length = 0}};
  EXPECT_EQ(test::attend(qkv, some, std::nullopt).out.slice(0, 10).abs().sum().item<double>(), 0);
  const at::Tensor none = at::empty({0, 4, 8});
  EXPECT_EQ(test::attend({none, none, none}, {}, 5).out.sizes(), at::IntArrayRef({0, 4, 8}));
}

TEST(AttentionTest, says_where_a_gpu_has_no_kernel_for_it) {
  EXPECT_EQ(slow_attention_reason(at::kCPU, at::kFloat, 64), "");
  EXPECT_EQ(slow_attention_reason(at::kCUDA, at::kBFloat16, 128), "");
  EXPECT_NE(slow_attention_reason(at::kCUDA, at::kFloat, 64), "");
  EXPECT_NE(slow_attention_reason(at::kCUDA, at::kBFloat16, 260), "");
  EXPECT_NE(slow_attention_reason(at::kCUDA, at::kBFloat16, 100), "");
}

TEST(AttentionTest, refuses_heads_that_do_not_fit) {
  const at::Tensor q = at::zeros({5, 4, 8});
  const at::Tensor k = at::zeros({5, 3, 8});
  EXPECT_THROW(test::attend({q, k, k}, {}, std::nullopt), InvariantError);
}

}  // namespace
}  // namespace collimate
