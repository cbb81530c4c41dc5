#include <algorithm>
#include <cmath>

#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "../norm_block_rows.hpp"
#include "collimate/base/shard_range.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "cpu_kernels.hpp"
#include "wide.hpp"

namespace collimate::detail::cpu {

namespace {

template <class T>
struct Forward {
  using A = Wide<T>;

  const T* x;
  const T* delta;  // or nullptr
  const T* weight;
  T* sum;  // x + delta; not written without a delta
  T* out;
  A* inverse_rms;
  std::int64_t size;
  double epsilon;

  void row(std::int64_t r) const {
    const T* in = x + r * size;
    if (delta != nullptr) {
      const T* add = delta + r * size;
      T* both = sum + r * size;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) both[i] = static_cast<T>(A(in[i]) + A(add[i]));
      in = both;
    }
    A squares = 0;
#pragma omp simd reduction(+ : squares)
    for (std::int64_t i = 0; i < size; ++i) squares += A(in[i]) * A(in[i]);
    const A inverse = A(1) / std::sqrt(squares / static_cast<A>(size) + static_cast<A>(epsilon));
    inverse_rms[r] = inverse;
    T* y = out + r * size;
#pragma omp simd
    for (std::int64_t i = 0; i < size; ++i) y[i] = static_cast<T>(A(weight[i]) * (A(in[i]) * inverse));
  }
};

template <class T>
struct Backward {
  using A = Wide<T>;

  const T* x;
  const T* weight;
  const A* inverse_rms;
  const T* grad_out;
  const T* grad_sum;  // gradient that reaches x + delta past the norm, or nullptr
  T* grad_x;
  A* grad_weight;  // [blocks, size], zero at the start
  std::int64_t size;

  // Gradient of element i through the norm.
  [[nodiscard]] A along(std::int64_t i, const T* grad, const T* in, A inverse, A shared) const {
    return inverse * (A(grad[i]) * A(weight[i]) - A(in[i]) * inverse * shared);
  }

  void row(std::int64_t r) const {
    const T* in = x + r * size;
    const T* grad = grad_out + r * size;
    const A inverse = inverse_rms[r];
    A* weight_sum = grad_weight + (r / kNormBlockRows) * size;
    A dot = 0;
#pragma omp simd reduction(+ : dot)
    for (std::int64_t i = 0; i < size; ++i) {
      const A normed_grad = A(grad[i]) * (A(in[i]) * inverse);
      weight_sum[i] += normed_grad;
      dot += A(weight[i]) * normed_grad;
    }
    const A shared = dot / static_cast<A>(size);
    T* result = grad_x + r * size;
    if (grad_sum != nullptr) {
      const T* past = grad_sum + r * size;
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) {
        result[i] = static_cast<T>(A(past[i]) + along(i, grad, in, inverse, shared));
      }
    } else {
#pragma omp simd
      for (std::int64_t i = 0; i < size; ++i) result[i] = static_cast<T>(along(i, grad, in, inverse, shared));
    }
  }
};

template <class Kernel>
void for_each_row(std::int64_t num_rows, const Kernel& kernel) {
  const std::int64_t num_blocks = divide_up(num_rows, kNormBlockRows);
  at::parallel_for(0, num_blocks, 1, [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first * kNormBlockRows; r < std::min(last * kNormBlockRows, num_rows); ++r) kernel.row(r);
  });
}

template <class T>
const T* data_or_null(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

}  // namespace

Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon) {
  const std::int64_t size = weight.numel();
  const std::int64_t num_rows = x.numel() / size;
  Normed result{.sum = delta.defined() ? at::empty_like(x) : x,
                .out = at::empty_like(x),
                .inverse_rms = at::empty({num_rows}, x.options().dtype(wide_dtype(x.scalar_type())))};
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm", [&] {
    for_each_row(num_rows, Forward<scalar_t>{.x = x.const_data_ptr<scalar_t>(),
                                             .delta = data_or_null<scalar_t>(delta),
                                             .weight = weight.const_data_ptr<scalar_t>(),
                                             .sum = delta.defined() ? result.sum.data_ptr<scalar_t>() : nullptr,
                                             .out = result.out.data_ptr<scalar_t>(),
                                             .inverse_rms = result.inverse_rms.data_ptr<Wide<scalar_t>>(),
                                             .size = size,
                                             .epsilon = epsilon});
  });
  return result;
}

NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum) {
  const auto& [x, weight, inverse_rms] = saved;
  const std::int64_t size = weight.numel();
  const std::int64_t num_rows = x.numel() / size;
  at::Tensor grad_x = at::empty_like(x);
  at::Tensor grad_weight =
      at::zeros({divide_up(num_rows, kNormBlockRows), size}, x.options().dtype(wide_dtype(x.scalar_type())));
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, x.scalar_type(), "rms_norm_backward", [&] {
    for_each_row(num_rows, Backward<scalar_t>{.x = x.const_data_ptr<scalar_t>(),
                                              .weight = weight.const_data_ptr<scalar_t>(),
                                              .inverse_rms = inverse_rms.const_data_ptr<Wide<scalar_t>>(),
                                              .grad_out = grad_out.const_data_ptr<scalar_t>(),
                                              .grad_sum = data_or_null<scalar_t>(grad_sum),
                                              .grad_x = grad_x.data_ptr<scalar_t>(),
                                              .grad_weight = grad_weight.data_ptr<Wide<scalar_t>>(),
                                              .size = size});
  });
  return {.x = grad_x, .weight = grad_weight.sum(0)};
}

}  // namespace collimate::detail::cpu
