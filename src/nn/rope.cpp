#include "collimate/nn/rope.hpp"

#include <numbers>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/rsub.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <torch/csrc/autograd/custom_function.h>

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

template <class T>
struct Rotation {
  const T* cos;
  const T* sin;
  std::int64_t num_heads;
  std::int64_t half;
  T direction;  // 1 forward, -1 backward: the transpose of a rotation turns the other way

  // `from` and `to` may be the same.
  void token(std::int64_t t, const T* from, T* to) const {
    const T* c = cos + t * half;
    const T* s = sin + t * half;
    for (std::int64_t head = t * num_heads; head < (t + 1) * num_heads; ++head) {
      const T* in = from + head * 2 * half;
      T* out = to + head * 2 * half;
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const T low = in[i];
        const T high = in[half + i];
        const T turn = direction * s[i];
        out[i] = low * c[i] - high * turn;
        out[half + i] = high * c[i] + low * turn;
      }
    }
  }
};

void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  constexpr std::int64_t kGrainTokens = 64;
  const std::int64_t half = cos.size(1);
  AT_DISPATCH_FLOATING_TYPES(from.scalar_type(), "rope", [&] {
    const Rotation<scalar_t> rotation{.cos = cos.const_data_ptr<scalar_t>(),
                                      .sin = sin.const_data_ptr<scalar_t>(),
                                      .num_heads = from.size(1) / (2 * half),
                                      .half = half,
                                      .direction = static_cast<scalar_t>(direction)};
    const auto* source = from.const_data_ptr<scalar_t>();
    auto* target = to.data_ptr<scalar_t>();
    at::parallel_for(0, from.size(0), kGrainTokens, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t < last; ++t) rotation.token(t, source, target);
    });
  });
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
  const at::Tensor steps = at::tensor(at::IntArrayRef(positions.data(), positions.size()), at::kFloat);
  const at::Tensor angles = steps.unsqueeze(1) * inverse_frequencies;
  return {.cos = angles.cos().to(dtype), .sin = angles.sin().to(dtype)};
}

at::Tensor apply_rope(at::Tensor x, const RopeTable& table) {
  return RopeFunction::apply(std::move(x), table.cos, table.sin);
}

}  // namespace collimate
