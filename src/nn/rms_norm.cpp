#include "collimate/nn/rms_norm.hpp"

#include <algorithm>
#include <cmath>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <torch/csrc/autograd/custom_function.h>

namespace collimate {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Weight gradients are summed by blocks of this many rows, then over blocks: the same for every thread count.
constexpr std::int64_t kBlockRows = 64;

template <class T>
struct Forward {
  const T* x;
  const T* delta;  // or nullptr
  const T* weight;
  T* sum;  // x + delta; not written without a delta
  T* out;
  T* inverse_rms;
  std::int64_t size;
  double epsilon;

  void row(std::int64_t r) const {
    const T* in = x + r * size;
    if (delta != nullptr) {
      const T* add = delta + r * size;
      T* both = sum + r * size;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) both[i] = in[i] + add[i];
      in = both;
    }
    T squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < size; ++i) squares += in[i] * in[i];
    const T inverse = T(1) / std::sqrt(squares / static_cast<T>(size) + static_cast<T>(epsilon));
    inverse_rms[r] = inverse;
    T* y = out + r * size;
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) y[i] = weight[i] * (in[i] * inverse);
  }
};

template <class T>
struct Backward {
  const T* x;
  const T* weight;
  const T* inverse_rms;
  const T* grad_out;
  const T* grad_sum;  // gradient that reaches x + delta past the norm, or nullptr
  T* grad_x;
  T* grad_weight;  // [blocks, size], zero at the start
  std::int64_t size;

  void row(std::int64_t r) const {
    const T* in = x + r * size;
    const T* grad = grad_out + r * size;
    const T inverse = inverse_rms[r];
    T* weight_sum = grad_weight + (r / kBlockRows) * size;
    T dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t i = 0; i < size; ++i) {
      const T normed_grad = grad[i] * (in[i] * inverse);
      weight_sum[i] += normed_grad;
      dot += weight[i] * normed_grad;
    }
    const T shared = dot / static_cast<T>(size);
    T* result = grad_x + r * size;
    if (grad_sum != nullptr) {
      const T* past = grad_sum + r * size;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) {
        result[i] = past[i] + inverse * (grad[i] * weight[i] - in[i] * inverse * shared);
      }
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) result[i] = inverse * (grad[i] * weight[i] - in[i] * inverse * shared);
    }
  }
};

template <class Kernel>
void for_each_row(std::int64_t num_rows, const Kernel& kernel) {
  const std::int64_t num_blocks = (num_rows + kBlockRows - 1) / kBlockRows;
  at::parallel_for(0, num_blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first * kBlockRows; r < std::min(last * kBlockRows, num_rows); ++r) kernel.row(r);
  });
}

template <class T>
const T* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

struct Normed {
  at::Tensor sum;
  at::Tensor out;
  at::Tensor inverse_rms;
};

Normed run_forward(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon) {
  const std::int64_t size = weight.numel();
  const std::int64_t num_rows = x.numel() / size;
  Normed result{.sum = delta.defined() ? at::empty_like(x) : x,
                .out = at::empty_like(x),
                .inverse_rms = at::empty({num_rows}, x.options())};
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm", [&] {
    for_each_row(num_rows, Forward<scalar_t>{.x = x.const_data_ptr<scalar_t>(),
                                             .delta = data_or_null<scalar_t>(delta),
                                             .weight = weight.const_data_ptr<scalar_t>(),
                                             .sum = delta.defined() ? result.sum.data_ptr<scalar_t>() : nullptr,
                                             .out = result.out.data_ptr<scalar_t>(),
                                             .inverse_rms = result.inverse_rms.data_ptr<scalar_t>(),
                                             .size = size,
                                             .epsilon = epsilon});
  });
  return result;
}

// (gradient of x, gradient of weight)
std::pair<at::Tensor, at::Tensor> run_backward(const variable_list& saved, const at::Tensor& grad_out,
                                               const at::Tensor& grad_sum) {
  const at::Tensor& x = saved[0];
  const at::Tensor& weight = saved[1];
  const at::Tensor& inverse_rms = saved[2];
  const std::int64_t size = weight.numel();
  const std::int64_t num_rows = x.numel() / size;
  const at::Tensor grad = grad_out.contiguous();
  const at::Tensor past = grad_sum.defined() ? grad_sum.contiguous() : grad_sum;
  at::Tensor grad_x = at::empty_like(x);
  at::Tensor grad_weight = at::zeros({(num_rows + kBlockRows - 1) / kBlockRows, size}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "rms_norm_backward", [&] {
    for_each_row(num_rows, Backward<scalar_t>{.x = x.const_data_ptr<scalar_t>(),
                                              .weight = weight.const_data_ptr<scalar_t>(),
                                              .inverse_rms = inverse_rms.const_data_ptr<scalar_t>(),
                                              .grad_out = grad.const_data_ptr<scalar_t>(),
                                              .grad_sum = data_or_null<scalar_t>(past),
                                              .grad_x = grad_x.data_ptr<scalar_t>(),
                                              .grad_weight = grad_weight.data_ptr<scalar_t>(),
                                              .size = size});
  });
  return {grad_x, grad_weight.sum(0)};
}

class RmsNormFunction : public torch::autograd::Function<RmsNormFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight, double epsilon) {
    Normed normed = run_forward(x, {}, weight, epsilon);
    ctx->save_for_backward({x, weight, normed.inverse_rms});
    return normed.out;
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    auto [grad_x, grad_weight] = run_backward(ctx->get_saved_variables(), grads[0], {});
    return {grad_x, grad_weight, {}};
  }
};

class AddRmsNormFunction : public torch::autograd::Function<AddRmsNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& delta,
                               const at::Tensor& weight, double epsilon) {
    Normed normed = run_forward(x, delta, weight, epsilon);
    ctx->save_for_backward({normed.sum, weight, normed.inverse_rms});
    ctx->set_materialize_grads(false);
    return {normed.sum, normed.out};
  }

  static variable_list backward(AutogradContext* ctx, const variable_list& grads) {
    if (!grads[1].defined()) return {grads[0], grads[0], {}, {}};
    auto [grad_x, grad_weight] = run_backward(ctx->get_saved_variables(), grads[1], grads[0]);
    return {grad_x, grad_x, grad_weight, {}};
  }
};

}  // namespace

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight, double epsilon) {
  return RmsNormFunction::apply(x, weight, epsilon);
}

std::pair<at::Tensor, at::Tensor> add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight,
                                               double epsilon) {
  variable_list outputs = AddRmsNormFunction::apply(x, delta, weight, epsilon);
  return {outputs[0], outputs[1]};
}

}  // namespace collimate
