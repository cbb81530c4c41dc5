#pragma once
// Kernels of a CPU where it has better ones than ATen's operators; see device_kernels.hpp.

#include "../device_kernels.hpp"

namespace collimate::detail::cpu {

BlockOutput attend(const BlockInput& input);
Qkv attend_backward(const BlockInput& input, const BlockGradient& gradient);
std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device device);
Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon);
NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum);
void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction);

}  // namespace collimate::detail::cpu
