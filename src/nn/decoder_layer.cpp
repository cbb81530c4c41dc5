#include "collimate/nn/decoder_layer.hpp"

#include <string>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "collimate/nn/attention.hpp"
#include "collimate/nn/gated_activation.hpp"
#include "collimate/nn/rms_norm.hpp"

namespace collimate {

std::pair<at::Tensor, at::Tensor> normalize(const Residual& residual, const at::Tensor& weight, double epsilon) {
  if (residual.delta.defined()) return add_rms_norm(residual.stream, residual.delta, weight, epsilon);
  return {residual.stream, rms_norm(residual.stream, weight, epsilon)};
}

DecoderLayer::DecoderLayer(const ModelSpec& spec, std::int64_t layer_index, const Finder& find)
    : head_dim_(spec.head_dim),
      epsilon_(spec.rms_norm_eps),
      window_(spec.window_of_layer(layer_index)),
      attention_norm_(find("input_layernorm.weight")),
      mlp_norm_(find("post_attention_layernorm.weight")),
      q_norm_(find("self_attn.q_norm.weight")),
      k_norm_(find("self_attn.k_norm.weight")) {
  const auto projection = [&](const std::string& name) {
    return LinearWeight{.weight = find(name + ".weight"), .bias = find(name + ".bias")};
  };
  qkv_ = {projection("self_attn.q_proj"), projection("self_attn.k_proj"), projection("self_attn.v_proj")};
  attention_output_ = projection("self_attn.o_proj");
  gate_up_ = {projection("mlp.gate_proj"), projection("mlp.up_proj")};
  down_ = projection("mlp.down_proj");
}

Residual DecoderLayer::forward(const Residual& input, const StreamContext& context) const {
  const auto [before_attention, attention_input] = normalize(input, attention_norm_, epsilon_);
  const Residual attended{before_attention, attend(attention_input, context)};
  const auto [before_mlp, mlp_input] = normalize(attended, mlp_norm_, epsilon_);
  return {before_mlp, transform(mlp_input)};
}

at::Tensor DecoderLayer::attend(const at::Tensor& normed, const StreamContext& context) const {
  std::vector<at::Tensor> qkv = linear(normed, qkv_);
  if (q_norm_.defined()) {
    qkv[0] = rms_norm(qkv[0], q_norm_, epsilon_);
    qkv[1] = rms_norm(qkv[1], k_norm_, epsilon_);
  }
  const auto heads = [&](const at::Tensor& x) { return x.view({x.size(0), x.size(1) / head_dim_, head_dim_}); };
  const at::Tensor q = heads(apply_rope(qkv[0], context.rope));
  const at::Tensor k = heads(apply_rope(qkv[1], context.rope));
  const at::Tensor out = attention(q, k, heads(qkv[2]), context.segments, window_).out;
  return linear(out.view({out.size(0), out.size(1) * head_dim_}), attention_output_);
}

at::Tensor DecoderLayer::transform(const at::Tensor& normed) const {
  const std::vector<at::Tensor> gate_up = linear(normed, gate_up_);
  return linear(silu_multiply(gate_up[0], gate_up[1]), down_);
}

}  // namespace collimate
