#include "naive_decoder.hpp"

#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/pow.h>
#include <ATen/ops/silu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>

#include "collimate/model/logical_tensor.hpp"

namespace collimate::test {

namespace {

// x cos + rotate_half(x) sin, on [heads, length, head_dim]. Angles in float32, as transformers has them.
at::Tensor rotate(const at::Tensor& x, double theta) {
  const std::int64_t size = x.size(2);
  const at::Tensor exponents = at::arange(0, size, 2, at::kFloat) / size;
  const at::Tensor inverse = at::pow(at::Scalar(theta), exponents).reciprocal();
  const at::Tensor half = at::arange(x.size(1), at::kFloat).unsqueeze(1) * inverse;
  const at::Tensor angles = at::cat({half, half}, 1);
  const at::Tensor turned = at::cat({-x.slice(2, size / 2), x.slice(2, 0, size / 2)}, 2);
  return x * angles.cos().to(x.dtype()) + turned * angles.sin().to(x.dtype());
}

at::Tensor hidden_mask(std::int64_t length, std::optional<std::int64_t> window) {
  const at::Tensor query = at::arange(length).unsqueeze(1);
  const at::Tensor key = at::arange(length).unsqueeze(0);
  const at::Tensor ahead = key > query;
  return window ? ahead | (key <= query - *window) : ahead;
}

}  // namespace

NaiveDecoder::NaiveDecoder(const ModelSpec& spec, std::span<const Parameter> parameters) : spec_(spec) {
  for (const Parameter& parameter : parameters) {
    parameters_[parameter.name] = parameter.value.detach().clone().requires_grad_();
  }
}

at::Tensor NaiveDecoder::linear(const at::Tensor& x, const std::string& name) const {
  const auto bias = parameters_.find(name + ".bias");
  const at::Tensor product = x.matmul(parameters_.at(name + ".weight").t());
  return bias == parameters_.end() ? product : product + bias->second;
}

at::Tensor NaiveDecoder::norm(const at::Tensor& x, const std::string& name) const {
  const at::Tensor mean_square = x.square().mean(-1, true);
  return x * (mean_square + spec_.rms_norm_eps).rsqrt() * parameters_.at(name + ".weight");
}

at::Tensor NaiveDecoder::attend(const at::Tensor& x, std::int64_t layer_index) const {
  const std::int64_t length = x.size(0);
  const auto name = [&](const char* suffix) { return layer_tensor_name(layer_index, suffix); };
  const auto heads = [&](const at::Tensor& y) { return y.view({length, -1, spec_.head_dim}); };
  at::Tensor q = heads(linear(x, name("self_attn.q_proj")));
  at::Tensor k = heads(linear(x, name("self_attn.k_proj")));
  if (spec_.qk_norm) {
    q = norm(q, name("self_attn.q_norm"));
    k = norm(k, name("self_attn.k_norm"));
  }
  const std::int64_t group = spec_.num_heads / spec_.num_kv_heads;
  q = rotate(q.transpose(0, 1), spec_.rope.theta);
  k = rotate(k.transpose(0, 1), spec_.rope.theta).repeat_interleave(group, 0);
  const at::Tensor v = heads(linear(x, name("self_attn.v_proj"))).transpose(0, 1).repeat_interleave(group, 0);
  const at::Tensor scores = q.matmul(k.transpose(1, 2)) / std::sqrt(static_cast<double>(spec_.head_dim));
  const at::Tensor hidden = hidden_mask(length, spec_.window_of_layer(layer_index));
  const at::Tensor shares = scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()).softmax(-1);
  return linear(shares.matmul(v).transpose(0, 1).reshape({length, -1}), name("self_attn.o_proj"));
}

at::Tensor NaiveDecoder::hidden_states(const std::vector<std::int64_t>& sequence) const {
  at::Tensor x = parameters_.at(kEmbeddingName).index_select(0, at::tensor(sequence, at::kLong));
  for (std::int64_t i = 0; i < spec_.num_layers; ++i) {
    const auto name = [&](const char* suffix) { return layer_tensor_name(i, suffix); };
    x = x + attend(norm(x, name("input_layernorm")), i);
    const at::Tensor y = norm(x, name("post_attention_layernorm"));
    x = x + linear(at::silu(linear(y, name("mlp.gate_proj"))) * linear(y, name("mlp.up_proj")), name("mlp.down_proj"));
  }
  return norm(x, "model.norm");
}

at::Tensor NaiveDecoder::log_probs(const std::vector<std::int64_t>& sequence, std::int64_t first) const {
  const at::Tensor& head = parameters_.at(spec_.tie_word_embeddings ? kEmbeddingName : kHeadName);
  const at::Tensor logits = hidden_states(sequence).slice(0, first - 1, -1).matmul(head.t());
  const at::Tensor labels = at::tensor(sequence, at::kLong).slice(0, first).unsqueeze(1);
  return logits.log_softmax(-1).gather(1, labels).squeeze(1);
}

at::Tensor NaiveDecoder::response_sums(const std::vector<PairTokens>& pairs) const {
  std::vector<at::Tensor> sums;
  for (const PairTokens& pair : pairs) {
    const auto prompt_end = pair.tokens.begin() + pair.lengths.num_prompt_tokens;
    const auto chosen_end = prompt_end + pair.lengths.num_chosen_tokens;
    for (const auto& [begin, end] : {std::pair(prompt_end, chosen_end), std::pair(chosen_end, pair.tokens.end())}) {
      std::vector<std::int64_t> sequence(pair.tokens.begin(), prompt_end);
      sequence.insert(sequence.end(), begin, end);
      at::Tensor values = log_probs(sequence, pair.lengths.num_prompt_tokens);
      if (!pair.is_labelled.empty()) {
        const auto labels = pair.is_labelled.begin() + (begin - pair.tokens.begin());
        values = values * at::tensor(std::vector<double>(labels, labels + (end - begin)), at::kDouble);
      }
      sums.push_back(values.sum());
    }
  }
  return at::stack(sums);
}

}  // namespace collimate::test
