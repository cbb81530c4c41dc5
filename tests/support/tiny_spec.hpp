#pragma once
// Descriptions of small models, for tests with and without libtorch.

#include "collimate/model/spec.hpp"

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

}  // namespace collimate::test
