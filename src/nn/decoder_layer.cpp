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

namespace {

// The sum of the ranks' partial products, and the bias once.
at::Tensor sum_partial(const at::Tensor& x, const LinearWeight& layer, const StreamContext& context) {
  const at::Tensor partial = linear(x, {.weight = layer.weight, .bias = {}}, context.queue);
  const at::Tensor sum = leave_tensor_axis(partial, context.axis);
  return layer.bias.defined() ? sum + layer.bias : sum;
}

}  // namespace

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
  const auto add = [&](const at::Tensor& parameter) {
    if (parameter.defined()) parameters_.push_back(parameter);
  };
  for (const at::Tensor& norm : {attention_norm_, mlp_norm_, q_norm_, k_norm_}) add(norm);
  for (const LinearWeight& layer : {qkv_[0], qkv_[1], qkv_[2], attention_output_, gate_up_[0], gate_up_[1], down_}) {
    add(layer.weight);
    add(layer.bias);
  }
}

Residual DecoderLayer::forward(const Residual& input, const StreamContext& context) const {
  const auto [before_attention, attention_input] = normalize(input, attention_norm_, epsilon_);
  const Residual attended{before_attention, attend(attention_input, context)};
  const auto [before_mlp, mlp_input] = normalize(attended, mlp_norm_, epsilon_);
  return {before_mlp, transform(mlp_input, context)};
}

at::Tensor DecoderLayer::attend(const at::Tensor& normed, const StreamContext& context) const {
  std::vector<at::Tensor> qkv = linear(enter_tensor_axis(normed, context.axis), qkv_, context.queue);
  if (q_norm_.defined()) {
    qkv[0] = rms_norm(qkv[0], q_norm_, epsilon_);
    qkv[1] = rms_norm(qkv[1], k_norm_, epsilon_);
  }
  const auto heads = [&](const at::Tensor& x) { return x.view({x.size(0), x.size(1) / head_dim_, head_dim_}); };
  const at::Tensor q = heads(apply_rope(qkv[0], context.rope));
  const at::Tensor k = heads(apply_rope(qkv[1], context.rope));
  const at::Tensor out = attention(q, k, heads(qkv[2]), context.segments, window_).out;
  return sum_partial(out.view({out.size(0), out.size(1) * head_dim_}), attention_output_, context);
}

at::Tensor DecoderLayer::transform(const at::Tensor& normed, const StreamContext& context) const {
  const std::vector<at::Tensor> gate_up = linear(enter_tensor_axis(normed, context.axis), gate_up_, context.queue);
  return sum_partial(silu_multiply(gate_up[0], gate_up[1]), down_, context);
}

}  // namespace collimate
