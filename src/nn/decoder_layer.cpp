#include "collimate/nn/decoder_layer.hpp"

#include <string>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "collimate/nn/gated_activation.hpp"
#include "collimate/nn/rms_norm.hpp"

namespace collimate {

std::pair<at::Tensor, at::Tensor> normalize(Residual&& residual, const at::Tensor& weight, double epsilon) {
  const auto [stream, delta] = std::move(residual);
  if (delta.defined()) return add_rms_norm(stream, delta, weight, epsilon);
  return {stream, rms_norm(stream, weight, epsilon)};
}

namespace {

// The sum of the ranks' partial products, and the bias once.
at::Tensor sum_partial(const LinearInput& x, const LinearWeight& layer, const StreamContext& context) {
  const at::Tensor sum =
      leave_tensor_axis(linear(x, {.weight = layer.weight, .bias = {}}, context.queue), context.axis);
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

Residual DecoderLayer::forward(Residual input, const StreamContext& context) const {
  // What is moved is let go of as soon as the next step has it.
  Normed before = norm(std::move(input), attention_norm_, context);
  Residual attended{.stream = std::move(before.stream), .delta = attend(std::move(before.input), context)};
  Normed between = norm(std::move(attended), mlp_norm_, context);
  return {.stream = std::move(between.stream), .delta = transform(std::move(between.input), context)};
}

DecoderLayer::Normed DecoderLayer::norm(Residual residual, const at::Tensor& weight,
                                        const StreamContext& context) const {
  auto [stream, normed] = normalize(std::move(residual), weight, epsilon_);
  Normed result{.stream = stream, .input = {.value = enter_tensor_axis(normed, context.axis)}};
  if (!context.recomputes_inputs) return result;
  result.input.sources = {stream, weight};
  result.input.formula = [epsilon = epsilon_, axis = context.axis](const std::vector<at::Tensor>& sources) {
    return enter_tensor_axis(rms_norm(sources[0], sources[1], epsilon), axis);
  };
  return result;
}

at::Tensor DecoderLayer::attend(LinearInput normed, const StreamContext& context) const {
  std::vector<at::Tensor> qkv = linear(normed, qkv_, context.queue);
  normed = {};
  if (q_norm_.defined()) {
    qkv[0] = rms_norm(qkv[0], q_norm_, epsilon_);
    qkv[1] = rms_norm(qkv[1], k_norm_, epsilon_);
  }
  const auto heads = [&](const at::Tensor& x) { return x.view({x.size(0), x.size(1) / head_dim_, head_dim_}); };
  const at::Tensor q = heads(apply_rope(qkv[0], context.rope));
  const at::Tensor k = heads(apply_rope(qkv[1], context.rope));
  const at::Tensor out = attention(q, k, heads(qkv[2]), context.attention, window_).out;
  return sum_partial({.value = out.view({out.size(0), out.size(1) * head_dim_})}, attention_output_, context);
}

at::Tensor DecoderLayer::transform(LinearInput normed, const StreamContext& context) const {
  const std::vector<at::Tensor> gate_up = linear(normed, gate_up_, context.queue);
  normed = {};
  LinearInput activation{.value = silu_multiply(gate_up[0], gate_up[1])};
  if (context.recomputes_inputs) {
    activation.sources = gate_up;
    activation.formula = [](const std::vector<at::Tensor>& sources) { return silu_multiply(sources[0], sources[1]); };
  }
  return sum_partial(activation, down_, context);
}

}  // namespace collimate
