#pragma once
// What a device computes in its own way: attention over a block, RMSNorm and the rotation of heads. `cpu` has loops and
// libtorch's CPU kernels, `aten` is made of ATen operators alone and so runs on any device. Everything else of a layer
// is ATen operators anyway. No autograd: the functions of nn/*.cpp wrap these.

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "collimate/nn/attention_plan.hpp"

namespace collimate::detail {

/// A block's rows and keys, [rows, heads, head_dim] each, and who sees whom.
struct BlockInput {
  const AttentionBlock& block;
  std::int64_t window;  ///< Of BlockMask::kBand.
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

struct BlockOutput {
  at::Tensor out;          ///< [rows, heads, head_dim]
  at::Tensor log_sum_exp;  ///< [rows, heads]
};

/// The rows' whole output, over all of their blocks, and its gradient.
struct BlockGradient {
  at::Tensor grad_out;
  BlockOutput output;
};

struct QkvGradients {
  at::Tensor q;
  at::Tensor k;
  at::Tensor v;
};

/// Bool [num_rows, num_keys], true where a row of the block from `first_row` on does not see a key; for kCausal and
/// kBand.
at::Tensor hidden_keys(const BlockInput& input, std::int64_t first_row, std::int64_t num_rows, std::int64_t num_keys);

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

// In both: `delta` and `grad_sum`, the gradient that reaches the sum past the norm, may be undefined. rotate() turns
// the heads of [tokens, heads * head_dim] by the angles of cos and sin [tokens, head_dim / 2] times `direction`, 1 or
// -1; `from` and `to` may be the same. Tensors are contiguous but for a block's.
namespace cpu {
BlockOutput attend(const BlockInput& input);
QkvGradients attend_backward(const BlockInput& input, const BlockGradient& gradient);
Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon);
NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum);
void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction);
}  // namespace cpu

namespace aten {
BlockOutput attend(const BlockInput& input);
QkvGradients attend_backward(const BlockInput& input, const BlockGradient& gradient);
Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon);
NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum);
void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction);
}  // namespace aten

}  // namespace collimate::detail
