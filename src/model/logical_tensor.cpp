#include "collimate/model/logical_tensor.hpp"

#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "collimate/model/stage_split.hpp"

namespace collimate {

namespace {

// Appends `<prefix>.weight` [out, in] and, if there is one, `<prefix>.bias` [out].
void add_linear(std::vector<LogicalTensor>& tensors, const std::string& prefix, std::int64_t out, std::int64_t in,
                bool bias) {
  tensors.push_back({prefix + ".weight", {out, in}});
  if (bias) tensors.push_back({prefix + ".bias", {out}});
}

}  // namespace

std::int64_t LogicalTensor::num_elements() const {
  return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>());
}

std::string layer_tensor_name(std::int64_t layer_index, std::string_view suffix) {
  return fmt::format("model.layers.{}.{}", layer_index, suffix);
}

std::vector<LogicalTensor> layer_tensors(const ModelSpec& spec, std::int64_t layer_index) {
  const auto name = [&](std::string_view suffix) { return layer_tensor_name(layer_index, suffix); };
  const std::int64_t q_size = spec.num_heads * spec.head_dim;
  const std::int64_t kv_size = spec.num_kv_heads * spec.head_dim;
  std::vector<LogicalTensor> tensors;
  tensors.push_back({name("input_layernorm.weight"), {spec.hidden_size}});
  add_linear(tensors, name("self_attn.q_proj"), q_size, spec.hidden_size, spec.qkv_bias);
  add_linear(tensors, name("self_attn.k_proj"), kv_size, spec.hidden_size, spec.qkv_bias);
  add_linear(tensors, name("self_attn.v_proj"), kv_size, spec.hidden_size, spec.qkv_bias);
  add_linear(tensors, name("self_attn.o_proj"), spec.hidden_size, q_size, spec.attention_output_bias);
  if (spec.qk_norm) {
    tensors.push_back({name("self_attn.q_norm.weight"), {spec.head_dim}});
    tensors.push_back({name("self_attn.k_norm.weight"), {spec.head_dim}});
  }
  tensors.push_back({name("post_attention_layernorm.weight"), {spec.hidden_size}});
  add_linear(tensors, name("mlp.gate_proj"), spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
  add_linear(tensors, name("mlp.up_proj"), spec.intermediate_size, spec.hidden_size, spec.mlp_bias);
  add_linear(tensors, name("mlp.down_proj"), spec.hidden_size, spec.intermediate_size, spec.mlp_bias);
  return tensors;
}

std::vector<LogicalTensor> logical_tensors(const ModelSpec& spec) { return stage_tensors(spec, whole_model(spec)); }

}  // namespace collimate
