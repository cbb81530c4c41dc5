#pragma once
// ModelSpec: everything the runtime knows of a model, read from a Hugging Face config.json. Pure data: families differ
// in its values only (model/family.hpp), so nothing downstream asks for a family's name.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace collimate {

enum class RopeScaling { kNone, kLinear, kLlama3 };

/// Rotary position embedding of a model. The fields after `factor` matter to kLlama3 only.
struct RopeSpec {
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;
  double low_freq_factor = 1.0;
  double high_freq_factor = 4.0;
  std::int64_t original_max_position_embeddings = 0;

  bool operator==(const RopeSpec&) const = default;
};

/// Shape and options of one causal decoder. Counts are of the whole model, never of a shard.
struct ModelSpec {
  std::string family;        ///< `model_type` of config.json.
  std::string architecture;  ///< The class in transformers, such as LlamaForCausalLM.
  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t intermediate_size = 0;
  std::int64_t num_layers = 0;
  std::int64_t num_heads = 0;
  std::int64_t num_kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;  ///< Standard deviation of randomly initialized matrices.
  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool attention_output_bias = false;
  bool mlp_bias = false;
  bool qk_norm = false;  ///< RMSNorm over each head of q and k, before RoPE.
  RopeSpec rope;
  /// Sliding window in tokens, the query's own included: key j is visible to query i iff i - window < j <= i.
  std::optional<std::int64_t> sliding_window;
  std::vector<bool> windowed_layers;  ///< [num_layers], all false without a sliding window.
  /// dtype that config.json declares: float32, float64, bfloat16 or float16. The files' own dtypes are what counts.
  std::optional<std::string> declared_dtype;

  bool operator==(const ModelSpec&) const = default;
  /// The sliding window of one layer, or nullopt for full causal attention.
  [[nodiscard]] std::optional<std::int64_t> window_of_layer(std::int64_t layer_index) const;
};

/// Reads config.json as transformers 4 or 5 writes it; missing keys get transformers' defaults, but for the five sizes
/// that define a model. `file` is named in messages. Throws InputError that lists all problems, among them anything the
/// runtime would compute otherwise than transformers: other architectures, activations, RoPE types, quantization.
ModelSpec parse_model_config(std::string_view json_text, const std::string& file);

}  // namespace collimate
