#pragma once
// Small random models and pairs for tests of everything that runs a model.

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/data/pair.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/nn/stage.hpp"

namespace collimate::test {

/// A Llama of two layers with grouped heads: hidden 24, 4 heads on 2 kv heads of 6, vocabulary 29.
inline ModelSpec tiny_spec() {
  ModelSpec spec;
  spec.family = "llama";
  spec.architecture = "LlamaForCausalLM";
  spec.vocab_size = 29;
  spec.hidden_size = 24;
  spec.intermediate_size = 40;
  spec.num_layers = 2;
  spec.num_heads = 4;
  spec.num_kv_heads = 2;
  spec.head_dim = 6;
  spec.max_position_embeddings = 512;
  spec.windowed_layers.assign(2, false);
  return spec;
}

/// tiny_spec with every option that adds parameters, and a sliding window in the second layer.
inline ModelSpec tiny_spec_with_all_options() {
  ModelSpec spec = tiny_spec();
  spec.qkv_bias = spec.attention_output_bias = spec.mlp_bias = spec.qk_norm = true;
  spec.tie_word_embeddings = true;
  spec.sliding_window = 5;
  spec.windowed_layers = {false, true};
  return spec;
}

/// Random weights large enough that every part of the model matters; the same for every call with one seed.
inline ParameterLoader random_weights(std::uint64_t seed) {
  return [seed](const LogicalTensor& tensor) {
    at::Generator generator = at::detail::createCPUGenerator(seed ^ std::hash<std::string>()(tensor.name));
    const bool is_norm = tensor.name.find("norm") != std::string::npos;
    at::Tensor values = at::randn(tensor.shape, generator, at::TensorOptions().dtype(at::kDouble));
    return is_norm ? values.mul_(0.3).add_(1.0) : values.mul_(0.4);
  };
}

/// Pairs of the given lengths with random tokens.
inline std::vector<PairTokens> random_pairs(const std::vector<PairLengths>& lengths, std::int64_t vocab_size,
                                            std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<PairTokens> pairs;
  for (const PairLengths& shape : lengths) {
    const at::Tensor values = at::randint(vocab_size, {shape.num_tokens()}, generator, at::kLong);
    const auto* data = values.const_data_ptr<std::int64_t>();
    PairTokens pair{.pair_index = pairs.size(), .lengths = shape, .tokens = {}};
    for (std::int64_t i = 0; i < values.numel(); ++i) pair.tokens.push_back(static_cast<std::uint32_t>(data[i]));
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// ||a - b|| / ||b||, the measure of design.md's layout equality.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const double norm = b.to(at::kDouble).norm().item<double>();
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
  return norm > 0 ? difference / norm : difference;
}

}  // namespace collimate::test
