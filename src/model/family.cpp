#include "collimate/model/family.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace collimate {

namespace {

constexpr std::array kFamilies{
    Family{.model_type = "llama",
           .architecture = "LlamaForCausalLM",
           .qkv_bias = BiasRule::kFromConfig,
           .attention_output_bias = BiasRule::kFromConfig,
           .mlp_bias = BiasRule::kFromConfig,
           .qk_norm = false,
           .window_rule = WindowRule::kNone,
           .default_num_kv_heads = std::nullopt,
           .default_head_dim = std::nullopt,
           .default_max_position_embeddings = 2048},
    Family{.model_type = "mistral",
           .architecture = "MistralForCausalLM",
           .qkv_bias = BiasRule::kNever,
           .attention_output_bias = BiasRule::kNever,
           .mlp_bias = BiasRule::kNever,
           .qk_norm = false,
           .window_rule = WindowRule::kEveryLayer,
           .default_num_kv_heads = 8,
           .default_head_dim = std::nullopt,
           .default_max_position_embeddings = 131072},
    Family{.model_type = "qwen2",
           .architecture = "Qwen2ForCausalLM",
           .qkv_bias = BiasRule::kAlways,
           .attention_output_bias = BiasRule::kNever,
           .mlp_bias = BiasRule::kNever,
           .qk_norm = false,
           .window_rule = WindowRule::kByLayer,
           .default_num_kv_heads = 32,
           .default_head_dim = std::nullopt,
           .default_max_position_embeddings = 32768},
    Family{.model_type = "qwen3",
           .architecture = "Qwen3ForCausalLM",
           .qkv_bias = BiasRule::kFromConfig,
           .attention_output_bias = BiasRule::kFromConfig,
           .mlp_bias = BiasRule::kNever,
           .qk_norm = true,
           .window_rule = WindowRule::kByLayer,
           .default_num_kv_heads = 32,
           .default_head_dim = 128,
           .default_max_position_embeddings = 32768},
};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view model_type) {
  const auto* row = std::ranges::find(kFamilies, model_type, &Family::model_type);
  return row == kFamilies.end() ? nullptr : row;
}

std::string supported_families() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies)
    names.push_back(fmt::format("{} ({})", family.model_type, family.architecture));
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace collimate
