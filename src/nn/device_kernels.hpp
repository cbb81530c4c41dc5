#pragma once
// What a device computes in its own way, as one table: attention over a stream, RMSNorm, the rotation of heads, the
// gated activation and what the head needs of logits. `cpu` has loops and libtorch's CPU kernels, `aten` is made of
// ATen operators alone and so runs on any device, `cuda` has kernels of our own. Everything else of a layer is ATen
// operators anyway. No autograd: the functions of nn/*.cpp wrap these.

#include <memory>

#include <ATen/core/Tensor.h>

#include "stream_attention.hpp"

namespace collimate::detail {

/// x, or x + delta where there is a delta; that normalized; 1 / rms of each run of weight.numel() elements.
struct Normed {
  at::Tensor sum;
  at::Tensor out;
  at::Tensor inverse_rms;
};

struct NormGradients {
  at::Tensor x;
  at::Tensor weight;
};

/// What a backward pass needs of a forward pass; `x` is its `sum`.
struct NormSaved {
  const at::Tensor& x;
  const at::Tensor& weight;
  const at::Tensor& inverse_rms;
};

/// The gate and what it lets through, [rows, neurons] each, or their gradients.
struct Gated {
  at::Tensor gate;
  at::Tensor up;
};

/// Which columns of some rows' logits are their labels.
struct LocalLabels {
  at::Tensor index;     ///< int64 [rows], into this rank's part of the vocabulary; 0 for labels elsewhere
  at::Tensor is_local;  ///< bool [rows]
};

/// Of each row of logits, in wide_dtype.
struct LogitStatistics {
  at::Tensor log_sum_exp;
  at::Tensor label_logit;  ///< 0 for a label elsewhere
};

/// The functions of a device. *Local.* Tensors are contiguous and on it.
struct DeviceKernels {
  /// Attention over a stream of `rows`.
  std::shared_ptr<const StreamAttention> (*make_attention)(const StreamRows& rows, at::Device device);
  /// `delta` may be undefined.
  Normed (*normalize)(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon);
  /// `grad_sum`, the gradient that reaches the sum past the norm, may be undefined.
  NormGradients (*normalize_backward)(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum);
  /// Turns the heads of [tokens, heads * head_dim] by the angles of cos and sin [tokens, head_dim / 2] times
  /// `direction`, 1 or -1; `from` and `to` may be the same.
  void (*rotate)(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin,
                 int direction);
  /// silu(gate) * up
  at::Tensor (*gate)(const Gated& inputs);
  Gated (*gate_backward)(const Gated& inputs, const at::Tensor& grad);
  /// `logits` [rows, columns] may be used up as working memory.
  LogitStatistics (*logit_statistics)(const at::Tensor& logits, const LocalLabels& labels);
  /// softmax minus one-hot label of each row in the logits' dtype, which is the gradient of the negative log-prob;
  /// `logits` is used up.
  at::Tensor (*logit_gradient)(const at::Tensor& logits, const at::Tensor& log_sum_exp, const LocalLabels& labels);
};

/// The table of a device.
const DeviceKernels& kernels_for(at::Device device);

/// Null in a program that is built without CUDA.
const DeviceKernels* cuda_kernels();

}  // namespace collimate::detail
