// bfloat16 parameters and activations, against float64 arithmetic on the same rounded values.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/nn/attention.hpp"
#include "collimate/nn/gated_activation.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/nn/rms_norm.hpp"
#include "collimate/nn/rope.hpp"
#include "gradient_check.hpp"
#include "support/fenced_device.hpp"
#include "support/tiny_model.hpp"

namespace collimate {
namespace {

using test::Evaluation;
using test::Operation;
using test::relative_difference;
using Tensors = std::vector<at::Tensor>;

constexpr double kHalfLastBit = 1.0 / 256;  // of a value near a power of two, relative

Tensors to_dtype(const Tensors& tensors, at::ScalarType dtype, at::Device device = at::kCPU) {
  Tensors result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.to(device, dtype));
  return result;
}

// Expects outputs within one rounding and gradients within a few.
void expect_rounded(const Operation& operation, const std::vector<std::vector<std::int64_t>>& shapes) {
  const Tensors rounded = to_dtype(test::random_tensors(shapes), at::kBFloat16);
  const Evaluation expected = test::evaluate(operation, to_dtype(rounded, at::kDouble));
  const Evaluation got = test::evaluate(operation, rounded);
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].scalar_type(), at::kBFloat16);
    EXPECT_LE(relative_difference(got.outputs[i], expected.outputs[i]), kHalfLastBit) << "output " << i;
  }
  for (std::size_t i = 0; i < expected.grads.size(); ++i) {
    EXPECT_LE(relative_difference(got.grads[i], expected.grads[i]), 3 * kHalfLastBit) << "gradient of input " << i;
  }
}

TEST(Bfloat16Test, norms_round_once) {
  expect_rounded([](const Tensors& in) { return Tensors{rms_norm(in[0], in[1], 1e-5)}; }, {{200, 96}, {96}});
  expect_rounded(
      [](const Tensors& in) {
        const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 1e-5);
        return Tensors{sum, normed};
      },
      {{70, 48}, {70, 48}, {48}});
}

TEST(Bfloat16Test, rotation_and_gate_round_as_often_as_they_store) {
  const std::vector<std::int64_t> positions{0, 1, 2, 700, 8191};
  expect_rounded(
      [&](const Tensors& in) {
        const at::Tensor frequencies = rope_inverse_frequencies({}, 8);
        const at::ScalarType dtype = in[0].scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
        return Tensors{apply_rope(in[0].clone(), rope_table(frequencies, positions, dtype))};
      },
      {{5, 24}});
  expect_rounded([](const Tensors& in) { return Tensors{silu_multiply(in[0], in[1])}; }, {{37, 40}, {37, 40}});
}

TEST(Bfloat16Test, attention_merges_a_shared_prefix_in_float32) {
  const std::vector<Segment> segments{{.begin = 0, .length = 30, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 30, .length = 90, .prefix_begin = 0, .prefix_length = 30},
                                      {.begin = 120, .length = 70, .prefix_begin = 0, .prefix_length = 30}};
  for (const std::optional<std::int64_t> window : std::vector<std::optional<std::int64_t>>{std::nullopt, 40}) {
    expect_rounded([&](const Tensors& in) { return Tensors{test::attend(in, segments, window).out}; },
                   {{190, 6, 16}, {190, 2, 16}, {190, 2, 16}});
  }
}

// Weights that bfloat16 holds exactly.
ParameterLoader rounded_weights() {
  const WholeTensors load = test::random_tensors(11);
  return parts_of([load](const LogicalTensor& tensor) {
    const at::Tensor values = load(tensor);
    return (tensor.shape.size() == 2 ? values * 0.3 : values).to(at::kBFloat16).to(at::kDouble);
  });
}

struct ModelResult {
  at::Tensor sums;
  Tensors grads;
};

ModelResult run_rounded(const ModelSpec& spec, const MicroBatch& microbatch, const StageOptions& options) {
  const ModelShard shard(spec, rounded_weights(), options);
  const at::Tensor hidden = shard.stage(0).forward(microbatch);
  // Chunks of a few rows, so that their gradients add up.
  const at::Tensor sums = response_log_probs(hidden, shard.stage(0).head(), microbatch.rows, microbatch.num_responses,
                                             {.chunk_bytes = 2000})
                              .sums;
  sums.backward(at::ones(sums.sizes(), sums.options()));
  ModelResult result{.sums = sums.detach().cpu(), .grads = {}};
  for (const Parameter& parameter : shard.parameters()) result.grads.push_back(parameter.value.grad().cpu());
  return result;
}

void expect_near(const ModelResult& got, const ModelResult& expected) {
  EXPECT_EQ(got.sums.scalar_type(), at::kDouble);
  EXPECT_LE(relative_difference(got.sums, expected.sums), 2 * kHalfLastBit);
  for (std::size_t i = 0; i < expected.grads.size(); ++i) {
    EXPECT_EQ(got.grads[i].scalar_type(), at::kBFloat16);
    EXPECT_LE(relative_difference(got.grads[i], expected.grads[i]), 12 * kHalfLastBit) << "parameter " << i;
  }
}

TEST(Bfloat16Test, a_whole_model_is_near_float64_on_either_device) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  const auto pairs = test::random_pairs({{9, 12, 7}, {30, 40, 20}, {5, 33, 28}}, spec.vocab_size, 3);
  const MicroBatch microbatch = build_microbatch(pairs, {});
  const ModelResult exact = run_rounded(spec, microbatch, {.dtype = at::kDouble});
  expect_near(run_rounded(spec, microbatch, {.dtype = at::kBFloat16}), exact);
  expect_near(run_rounded(spec, microbatch, {.dtype = at::kBFloat16, .device = test::fenced_device()}), exact);
}

// 256 + 1 is 256 in bfloat16, however often: a token that stands everywhere would have the gradient of 256 of its rows.
TEST(Bfloat16Test, gradients_of_a_frequent_token_add_up) {
  const ModelSpec spec = test::tiny_spec();
  const ModelShard shard(spec, rounded_weights(), {.dtype = at::kBFloat16});
  PairTokens pair{.pair_index = 0, .lengths = {500, 500, 500}, .tokens = std::vector<std::uint32_t>(1500, 1)};
  const MicroBatch microbatch = build_microbatch(std::span(&pair, 1), {});
  const ModelResult exact = run_rounded(spec, microbatch, {.dtype = at::kDouble});
  const ModelResult got = run_rounded(spec, microbatch, {.dtype = at::kBFloat16});
  EXPECT_LE(relative_difference(got.grads[0], exact.grads[0]), 12 * kHalfLastBit);
}

}  // namespace
}  // namespace collimate
