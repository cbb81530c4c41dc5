#pragma once
// Kernels made of ATen operators; see device_kernels.hpp. On a CPU the elementwise ones go through the cache block by
// block.

#include "../device_kernels.hpp"

namespace collimate::detail::aten {

BlockOutput attend(const BlockInput& input);
Qkv attend_backward(const BlockInput& input, const BlockGradient& gradient);
std::shared_ptr<const StreamAttention> make_attention(const StreamRows& rows, at::Device device);
Normed normalize(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight, double epsilon);
NormGradients normalize_backward(const NormSaved& saved, const at::Tensor& grad_out, const at::Tensor& grad_sum);
void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction);
at::Tensor gate(const Gated& inputs);
Gated gate_backward(const Gated& inputs, const at::Tensor& grad);
LogitStatistics logit_statistics(const at::Tensor& logits, const LocalLabels& labels);
at::Tensor logit_gradient(const at::Tensor& logits, const at::Tensor& log_sum_exp, const LocalLabels& labels);

}  // namespace collimate::detail::aten
