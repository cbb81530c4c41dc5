// On a device whose memory the host cannot touch every layer gives what it gives on the CPU.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/nn/attention.hpp"
#include "collimate/nn/gated_activation.hpp"
#include "collimate/nn/linear.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/nn/rms_norm.hpp"
#include "collimate/nn/rope.hpp"
#include "gradient_check.hpp"
#include "support/fenced_device.hpp"

namespace collimate {
namespace {

using test::fenced_device;
using test::Operation;
using Tensors = std::vector<at::Tensor>;

Tensors moved(const Tensors& tensors, at::Device device) {
  Tensors result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.to(device));
  return result;
}

// The operation with its inputs taken to the device, its outputs back, and the gradients the other way.
Operation on_fenced_device(const Operation& operation) {
  return [operation](const Tensors& inputs) {
    const Tensors outputs = operation(moved(inputs, fenced_device()));
    for (const at::Tensor& output : outputs) EXPECT_EQ(output.device(), fenced_device());
    return moved(outputs, at::kCPU);
  };
}

void expect_same_on_both(const Operation& operation, const std::vector<std::vector<std::int64_t>>& shapes) {
  test::expect_same(on_fenced_device(operation), operation, test::random_tensors(shapes));
}

TEST(FencedDeviceTest, shuts_the_host_out) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");  // libtorch has threads
  const at::Tensor tensor = at::ones({3}, at::kDouble).to(fenced_device());
  EXPECT_EQ(tensor.sum().item<double>(), 3);
  EXPECT_DEATH(static_cast<void>(*static_cast<const volatile double*>(tensor.const_data_ptr<double>())), "");
  EXPECT_THROW(tensor + at::ones({3}, at::kDouble), c10::Error);
}

TEST(DeviceTest, attention_gives_what_it_gives_on_the_cpu) {
  // Longer than the rows that are looked at together, with a shared prefix, and rows in no segment at the end.
  const std::vector<Segment> segments{{.begin = 0, .length = 330, .prefix_begin = 0, .prefix_length = 0},
                                      {.begin = 330, .length = 290, .prefix_begin = 0, .prefix_length = 30}};
  for (const std::optional<std::int64_t> window : std::vector<std::optional<std::int64_t>>{std::nullopt, 1, 40, 300}) {
    SCOPED_TRACE(testing::Message() << "window " << window.value_or(0));
    expect_same_on_both([&](const Tensors& qkv) { return Tensors{test::attend(qkv, segments, window).out}; },
                        {{625, 6, 4}, {625, 2, 4}, {625, 2, 4}});
  }
}

TEST(DeviceTest, norms_give_what_they_give_on_the_cpu) {
  expect_same_on_both([](const Tensors& in) { return Tensors{rms_norm(in[0], in[1], 1e-2)}; }, {{70, 24}, {6}});
  expect_same_on_both(
      [](const Tensors& in) {
        const auto [sum, normed] = add_rms_norm(in[0], in[1], in[2], 1e-6);
        return Tensors{sum, normed};
      },
      {{70, 12}, {70, 12}, {12}});
}

TEST(DeviceTest, rotation_gate_and_products_give_what_they_give_on_the_cpu) {
  const std::vector<std::int64_t> positions{0, 1, 2, 1, 700};
  expect_same_on_both(
      [&](const Tensors& in) {
        const at::Tensor frequencies = rope_inverse_frequencies({}, 6).to(in[0].device());
        return Tensors{apply_rope(in[0] * 1, rope_table(frequencies, positions, at::kDouble))};
      },
      {{5, 18}});
  expect_same_on_both([](const Tensors& in) { return Tensors{silu_multiply(in[0], in[1])}; }, {{37, 40}, {37, 40}});
  expect_same_on_both(
      [](const Tensors& in) {
        return linear({.value = in[0]}, std::vector<LinearWeight>{{in[1], in[2]}, {in[3], {}}});
      },
      {{20, 6}, {9, 6}, {9}, {3, 6}});
}

struct Result {
  at::Tensor sums;
  Tensors grads;
};

Result run_model(const ModelSpec& spec, const MicroBatch& microbatch, at::Device device) {
  const ModelShard shard(spec, test::random_weights(5), {.dtype = at::kDouble, .device = device});
  const at::Tensor sums = response_log_probs(shard.stage(0).forward(microbatch), shard.stage(0).head(), microbatch.rows,
                                             microbatch.num_responses, {.chunk_bytes = 29 * 8 * 10})
                              .sums;
  sums.sum().backward();
  Result result{.sums = sums.detach().cpu(), .grads = {}};
  for (const Parameter& parameter : shard.parameters()) {
    EXPECT_EQ(parameter.value.device(), device);
    result.grads.push_back(parameter.value.grad().cpu());
  }
  return result;
}

TEST(DeviceTest, a_whole_model_gives_what_it_gives_on_the_cpu) {
  for (const ModelSpec& spec : {test::tiny_spec(), test::tiny_spec_with_all_options()}) {
    const MicroBatch microbatch =
        build_microbatch(test::random_pairs({{4, 7, 3}, {9, 1, 12}, {6, 40, 2}}, spec.vocab_size, 3), {});
    const Result got = run_model(spec, microbatch, fenced_device());
    const Result expected = run_model(spec, microbatch, at::kCPU);
    EXPECT_LE(test::relative_difference(got.sums, expected.sums), 1e-12);
    for (std::size_t i = 0; i < expected.grads.size(); ++i) {
      EXPECT_LE(test::relative_difference(got.grads[i], expected.grads[i]), 1e-12) << "parameter " << i;
    }
  }
}

}  // namespace
}  // namespace collimate
