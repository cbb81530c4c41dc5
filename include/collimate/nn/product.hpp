#pragma once
// The matrix products of the model. Everything is x w^T, so one routine serves forward, input and weight gradients.

#include <ATen/core/Tensor.h>

namespace collimate {

/// x w^T with `x` [m, k] and `w` [n, k], any strides; plus `bias` [n] if defined. No autograd.
///
/// float32 on a CPU goes to oneDNN: the other GEMM inside libtorch, MKL, has no AVX-512 code for processors that are
/// not Intel's and reaches under half the speed there (docs/performance.md).
at::Tensor product(const at::Tensor& x, const at::Tensor& w, const at::Tensor& bias = {});

/// x w^T + addend, with `addend` [m, n]. No autograd.
at::Tensor product_plus(const at::Tensor& x, const at::Tensor& w, const at::Tensor& addend);

/// grad^T x, the gradient of a weight [out, in] for `grad` [m, out] and `x` [m, in]; plus `addend` if defined, which
/// must come from an earlier call with the same sizes. The result may be a transposed view. No autograd.
at::Tensor weight_gradient(const at::Tensor& grad, const at::Tensor& x, const at::Tensor& addend = {});

/// Adds grad^T x to `sum` [out, in], contiguous, of the operands' dtype or float32. On a GPU the product itself adds,
/// so that what is narrower than the sum is never rounded in between. No autograd.
void add_weight_gradient(const at::Tensor& sum, const at::Tensor& grad, const at::Tensor& x);

}  // namespace collimate
