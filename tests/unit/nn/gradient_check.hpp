#pragma once
// Compares an operation with its twin made of plain differentiable ATen operations: results and gradients in float64.

#include <algorithm>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/nn/attention.hpp"
#include "support/tiny_model.hpp"

namespace collimate::test {

using Operation = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>&)>;

struct Evaluation {
  std::vector<at::Tensor> outputs;
  std::vector<at::Tensor> grads;
};

/// Outputs, and the gradients of a fixed random weighting of them in copies of `inputs`.
inline Evaluation evaluate(const Operation& operation, const std::vector<at::Tensor>& inputs) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().clone().requires_grad_());
  Evaluation result{.outputs = operation(leaves), .grads = {}};
  at::Generator generator = at::detail::createCPUGenerator(91);
  at::Tensor weighted = at::zeros({}, at::kDouble);
  for (at::Tensor& output : result.outputs) {
    weighted = weighted + (output.to(at::kDouble) * at::randn(output.sizes(), generator, weighted.options())).sum();
    output = output.detach();
  }
  weighted.backward();
  for (const at::Tensor& leaf : leaves) result.grads.push_back(leaf.grad());
  return result;
}

/// Expects both to agree to 1e-12 in every output and gradient, relative to norms above 1.
inline void expect_same(const Operation& operation, const Operation& twin, const std::vector<at::Tensor>& inputs) {
  const Evaluation got = evaluate(operation, inputs);
  const Evaluation expected = evaluate(twin, inputs);
  for (std::size_t i = 0; i < expected.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].sizes(), expected.outputs[i].sizes()) << "output " << i;
    EXPECT_LE(relative_difference(got.outputs[i], expected.outputs[i]), 1e-12) << "output " << i;
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ASSERT_TRUE(got.grads[i].defined()) << "input " << i;
    // A gradient that is zero but for rounding has no scale of its own.
    const double scale = std::max(1.0, expected.grads[i].norm().item<double>());
    EXPECT_LE((got.grads[i] - expected.grads[i]).norm().item<double>(), 1e-12 * scale) << "gradient of input " << i;
  }
}

/// Normal random tensors, the same for every call with one seed.
inline std::vector<at::Tensor> random_tensors(const std::vector<std::vector<std::int64_t>>& shapes,
                                              std::uint64_t seed = 7) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<at::Tensor> tensors;
  for (const auto& shape : shapes)
    tensors.push_back(at::randn(shape, generator, at::TensorOptions().dtype(at::kDouble)));
  return tensors;
}

/// Attention over a stream that is planned for this one call; `qkv` are the three tensors.
inline AttentionOutput attend(const std::vector<at::Tensor>& qkv, std::span<const Segment> segments,
                              std::optional<std::int64_t> window) {
  const AttentionStream stream = attention_stream(segments, qkv[0].size(0), qkv[0].device());
  return attention(qkv[0], qkv[1], qkv[2], stream, window);
}

}  // namespace collimate::test
