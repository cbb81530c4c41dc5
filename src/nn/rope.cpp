#include "collimate/nn/rope.hpp"

#include <numbers>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

#include "device_kernels.hpp"
#include "upload.hpp"

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Llama 3.1: long waves are slowed down by `factor`, short ones kept, those between interpolated. The order of
// operations is transformers', so that the bits are.
at::Tensor llama3_frequencies(const at::Tensor& plain, const RopeSpec& rope) {
  const auto length = static_cast<double>(rope.original_max_position_embeddings);
  const double longest = length / rope.low_freq_factor;
  const double shortest = length / rope.high_freq_factor;
  const at::Tensor wavelength = plain.reciprocal() * (2 * std::numbers::pi);
  const at::Tensor slowed = at::where(wavelength > longest, plain / rope.factor, plain);
  const at::Tensor smooth =
      (wavelength.reciprocal() * length - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  const at::Tensor smoothed = at::rsub(smooth, 1) * slowed / rope.factor + smooth * slowed;
  const at::Tensor between = (wavelength >= shortest) & (wavelength <= longest);
  return at::where(between, smoothed, slowed);
}

void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  detail::kernels_for(from.device()).rotate(from, to, cos, sin, direction);
}

class RopeFunction : public torch::autograd::Function<RopeFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, at::Tensor x, const at::Tensor& cos, const at::Tensor& sin) {
    ctx->mark_dirty({x});
    ctx->save_for_backward({cos, sin});
    rotate(x, x, cos, sin, 1);
    return x;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor grad = grads[0].contiguous();
    const at::Tensor result = at::empty_like(grad);
    rotate(grad, result, saved[0], saved[1], -1);
    return {result, {}, {}};
  }
};

}  // namespace

at::Tensor rope_inverse_frequencies(const RopeSpec& rope, std::int64_t head_dim) {
  const at::Tensor exponents = at::arange(0, head_dim, 2, at::kFloat) / head_dim;
  at::Tensor plain = at::pow(at::Scalar(rope.theta), exponents).reciprocal();
  switch (rope.scaling) {
    case RopeScaling::kNone:
      return plain;
    case RopeScaling::kLinear:
      return plain / rope.factor;
    case RopeScaling::kLlama3:
      return llama3_frequencies(plain, rope);
  }
  return plain;
}

RopeTable rope_table(const at::Tensor& inverse_frequencies, std::span<const std::int64_t> positions,
                     at::ScalarType dtype) {
  const at::Tensor steps =
      detail::upload(std::vector<float>(positions.begin(), positions.end()), inverse_frequencies.device());
  const at::Tensor angles = steps.unsqueeze(1) * inverse_frequencies;
  return {.cos = angles.cos().to(dtype), .sin = angles.sin().to(dtype)};
}

at::Tensor apply_rope(at::Tensor x, const RopeTable& table) {
  return RopeFunction::apply(std::move(x), table.cos, table.sin);
}

}  // namespace collimate
