// The small operations of a decoder layer, each against plain ATen.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/nn/gated_activation.hpp"
#include "collimate/nn/linear.hpp"
#include "collimate/nn/product.hpp"
#include "collimate/nn/rms_norm.hpp"
#include "collimate/nn/rope.hpp"
#include "gradient_check.hpp"

namespace collimate {
namespace {

using test::expect_same;
using test::random_tensors;

using Tensors = std::vector<at::Tensor>;

at::Tensor plain_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  const at::Tensor grouped = x.view({-1, weight.numel()});
  return (grouped * (grouped.square().mean(-1, true) + epsilon).rsqrt() * weight).view_as(x);
}

TEST(RmsNormTest, equals_the_formula_with_its_gradients) {
  for (const std::int64_t rows : {1, 63, 64, 200}) {
    expect_same([](const Tensors& in) { return Tensors{rms_norm(in[0], in[1], 1e-2)}; },
                [](const Tensors& in) { return Tensors{plain_norm(in[0], in[1], 1e-2)}; },
                random_tensors({{rows, 13}, {13}}));
  }
}

TEST(RmsNormTest, a_short_weight_normalizes_each_head) {
  expect_same([](const Tensors& in) { return Tensors{rms_norm(in[0], in[1], 1e-6)}; },
              [](const Tensors& in) { return Tensors{plain_norm(in[0], in[1], 1e-6)}; },
              random_tensors({{50, 24}, {6}}));
}

TEST(RmsNormTest, joined_with_the_residual_addition_it_equals_the_two_apart) {
  expect_same(
      [](const Tensors& in) {
        const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 1e-6);
        return Tensors{sum, normed};
      },
      [](const Tensors& in) { return Tensors{in[0] + in[1], plain_norm(in[0] + in[1], in[2], 1e-6)}; },
      random_tensors({{70, 12}, {70, 12}, {12}}));
}

TEST(RmsNormTest, an_output_that_nobody_uses_has_no_part_in_the_gradient) {
  expect_same([](const Tensors& in) { return Tensors{add_rms_norm(in[0], in[1], in[2], 1e-6).second}; },
              [](const Tensors& in) { return Tensors{plain_norm(in[0] + in[1], in[2], 1e-6)}; },
              random_tensors({{9, 12}, {9, 12}, {12}}));
  const Tensors in = random_tensors({{9, 12}, {9, 12}, {12}});
  const at::Tensor x = in[0].clone().requires_grad_();
  const at::Tensor weight = in[2].clone().requires_grad_();
  add_rms_norm(x, in[1], weight, 1e-6).first.sum().backward();
  EXPECT_TRUE(at::equal(x.grad(), at::ones_like(x)));
}

TEST(SiluMultiplyTest, equals_the_formula_with_its_gradients) {
  for (const std::int64_t columns : {1, 40, 50000}) {
    expect_same([](const Tensors& in) { return Tensors{silu_multiply(in[0], in[1])}; },
                [](const Tensors& in) { return Tensors{at::silu(in[0]) * in[1]}; },
                random_tensors({{37, columns}, {37, columns}}));
  }
}

TEST(LinearTest, layers_of_one_input_equal_the_layers_apart) {
  expect_same(
      [](const Tensors& in) {
        return linear({.value = in[0]}, std::vector<LinearWeight>{{in[1], in[2]}, {in[3], {}}, {in[4], in[5]}});
      },
      [](const Tensors& in) {
        return Tensors{in[0].matmul(in[1].t()) + in[2], in[0].matmul(in[3].t()), in[0].matmul(in[4].t()) + in[5]};
      },
      random_tensors({{20, 6}, {9, 6}, {9}, {3, 6}, {6, 6}, {6}}));
}

TEST(ProductTest, float32_takes_any_strides_and_agrees_with_float64) {
  const Tensors exact = random_tensors({{33, 70}, {21, 70}, {21}, {33, 21}});
  Tensors rounded;
  for (const at::Tensor& tensor : exact) rounded.push_back(tensor.to(at::kFloat));
  const auto same = [](const at::Tensor& got, const at::Tensor& expected) {
    EXPECT_EQ(got.scalar_type(), at::kFloat);
    EXPECT_EQ(got.sizes(), expected.sizes());
    EXPECT_LE(test::relative_difference(got, expected), 1e-6);
  };
  same(product(rounded[0], rounded[1]), product(exact[0], exact[1]));
  same(product(rounded[0], rounded[1], rounded[2]), product(exact[0], exact[1], exact[2]));
  same(product_plus(rounded[0], rounded[1], rounded[3]), product_plus(exact[0], exact[1], exact[3]));
  same(product(rounded[3], rounded[1].t()), product(exact[3], exact[1].t()));
  same(product(rounded[0].t(), rounded[3].t()), product(exact[0].t(), exact[3].t()));
  for (const auto& [grad, x] : {std::pair(0, 3), std::pair(3, 0)}) {
    const at::Tensor once = weight_gradient(rounded[grad], rounded[x]);
    same(once, exact[grad].t().matmul(exact[x]));
    same(weight_gradient(rounded[grad], rounded[x], once), 2 * exact[grad].t().matmul(exact[x]));
  }
}

TEST(ProductTest, no_rows_give_no_rows_and_zero_gradients) {
  for (const auto dtype : {at::kFloat, at::kDouble}) {
    const at::Tensor none = at::zeros({0, 5}, dtype);
    EXPECT_EQ(product(none, at::ones({3, 5}, dtype), at::ones({3}, dtype)).sizes(), at::IntArrayRef({0, 3}));
    EXPECT_TRUE(at::equal(weight_gradient(none, at::zeros({0, 4}, dtype)), at::zeros({5, 4}, dtype)));
  }
}

std::vector<std::int64_t> scattered_positions() { return {0, 1, 2, 1, 2, 700, 31, 8191}; }

TEST(RopeTest, rotates_each_head_as_rotate_half_does) {
  const std::vector<std::int64_t> positions = scattered_positions();
  const at::Tensor frequencies = rope_inverse_frequencies({}, 6);
  const RopeTable table = rope_table(frequencies, positions, at::kDouble);
  const at::Tensor cos = at::cat({table.cos, table.cos}, 1).unsqueeze(1);
  const at::Tensor sin = at::cat({table.sin, table.sin}, 1).unsqueeze(1);
  expect_same([&](const Tensors& in) { return Tensors{apply_rope(in[0] * 1, table)}; },
              [&](const Tensors& in) {
                const at::Tensor x = in[0].view({8, 3, 6});
                const at::Tensor turned = at::cat({-x.slice(2, 3), x.slice(2, 0, 3)}, 2);
                return Tensors{(x * cos + turned * sin).view({8, 18})};
              },
              random_tensors({{8, 18}}));
}

TEST(RopeTest, a_position_has_the_same_bits_wherever_it_stands) {
  const at::Tensor frequencies = rope_inverse_frequencies({}, 20);
  std::vector<std::int64_t> all(300);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::int64_t>(i);
  const RopeTable table = rope_table(frequencies, all, at::kDouble);
  for (std::int64_t i = 0; i < 300; ++i) {
    const RopeTable alone =
        rope_table(frequencies, std::span(all).subspan(static_cast<std::size_t>(i), 1), at::kDouble);
    ASSERT_TRUE(at::equal(alone.cos[0], table.cos[i]) && at::equal(alone.sin[0], table.sin[i])) << i;
  }
}

TEST(RopeTest, scaling_changes_the_frequencies_as_published) {
  const at::Tensor plain = rope_inverse_frequencies({.theta = 500000.0}, 128);
  EXPECT_EQ(plain.scalar_type(), at::kFloat);
  EXPECT_EQ(plain[0].item<float>(), 1.0F);
  const RopeSpec linear{.theta = 500000.0, .scaling = RopeScaling::kLinear, .factor = 4.0};
  EXPECT_TRUE(at::equal(rope_inverse_frequencies(linear, 128), plain / 4));
  const RopeSpec llama3{.theta = 500000.0,
                        .scaling = RopeScaling::kLlama3,
                        .factor = 8.0,
                        .low_freq_factor = 1.0,
                        .high_freq_factor = 4.0,
                        .original_max_position_embeddings = 8192};
  const at::Tensor scaled = rope_inverse_frequencies(llama3, 128);
  EXPECT_TRUE(at::equal(scaled.slice(0, 0, 25), plain.slice(0, 0, 25))) << "short waves are kept";
  EXPECT_TRUE(at::equal(scaled.slice(0, 45), plain.slice(0, 45) / 8)) << "long waves are slowed down";
  const at::Tensor ratio = (scaled / plain).slice(0, 25, 45);
  EXPECT_TRUE(((ratio <= 1.0) & (ratio >= 0.125)).all().item<bool>());
  EXPECT_TRUE(((ratio < 0.99) & (ratio > 0.13)).any().item<bool>()) << "those between are interpolated";
}

}  // namespace
}  // namespace collimate
