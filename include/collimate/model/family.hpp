#pragma once
// The table of model families. A new family is one row here; what a row cannot say is a new column, never a subclass.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace collimate {

/// Where a family has a bias, or asks its config.json.
enum class BiasRule { kNever, kAlways, kFromConfig };

/// Which layers see a sliding window, by the key names of config.json.
enum class WindowRule {
  kNone,        ///< No layer.
  kEveryLayer,  ///< `sliding_window`, all layers alike.
  kByLayer,  ///< `sliding_window` if `use_sliding_window`, in the layers that `layer_types` or `max_window_layers` say.
};

/// One row: what a model_type means, and transformers' defaults of keys that its config.json may lack.
struct Family {
  std::string_view model_type;
  std::string_view architecture;
  BiasRule qkv_bias;               ///< kFromConfig: `attention_bias`.
  BiasRule attention_output_bias;  ///< kFromConfig: `attention_bias`.
  BiasRule mlp_bias;               ///< kFromConfig: `mlp_bias`.
  bool qk_norm;
  WindowRule window_rule;
  std::optional<std::int64_t> default_num_kv_heads;  ///< nullopt: as many as heads.
  std::optional<std::int64_t> default_head_dim;      ///< nullopt: hidden_size / num_attention_heads.
  std::int64_t default_max_position_embeddings;
};

/// All rows.
std::span<const Family> families();

/// The row of a `model_type`, or nullptr.
const Family* find_family(std::string_view model_type);

/// "llama (LlamaForCausalLM), mistral (...), ...", for messages.
std::string supported_families();

}  // namespace collimate
