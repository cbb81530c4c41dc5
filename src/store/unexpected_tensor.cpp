#include "unexpected_tensor.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include <fmt/format.h>

namespace collimate::detail {

namespace {

constexpr std::array<std::string_view, 6> kBuffers{".rotary_emb.inv_freq",   ".rotary_emb.original_inv_freq",
                                                   ".rotary_emb.cos_cached", ".rotary_emb.sin_cached",
                                                   ".masked_bias",           ".position_ids"};

constexpr std::string_view kAdapter =
    "an adapter that is not merged: call PEFT's merge_and_unload before save_pretrained";
constexpr std::string_view kQuantized = "the weights are quantized: take the model's folder with plain weights";
constexpr std::string_view kExperts = "a model with experts, which is not supported";
constexpr std::string_view kWrapped = "saved from a wrapped model: save the model inside";
constexpr std::string_view kOtherTask = "a head for another task: a reward, value or classification model";
constexpr std::string_view kImages = "a part of a model that sees or hears, which is not supported";

/// A part of a tensor's name, and what it gives away.
struct NamePart {
  std::string_view part;
  std::string_view meaning;
};

constexpr std::array kNameParts{NamePart{"lora_", kAdapter},
                                NamePart{".base_layer.", kAdapter},
                                NamePart{"base_model.model.", kAdapter},
                                NamePart{".modules_to_save", kAdapter},
                                NamePart{".qweight", kQuantized},
                                NamePart{".qzeros", kQuantized},
                                NamePart{".scales", kQuantized},
                                NamePart{".g_idx", kQuantized},
                                NamePart{".SCB", kQuantized},
                                NamePart{".weight_format", kQuantized},
                                NamePart{".absmax", kQuantized},
                                NamePart{".quant_map", kQuantized},
                                NamePart{".nested_", kQuantized},
                                NamePart{".quant_state", kQuantized},
                                NamePart{".weight_scale", kQuantized},
                                NamePart{".input_scale", kQuantized},
                                NamePart{".weight_packed", kQuantized},
                                NamePart{".weight_shape", kQuantized},
                                NamePart{"zero_point", kQuantized},
                                NamePart{".k_scale", kQuantized},
                                NamePart{".v_scale", kQuantized},
                                NamePart{".experts.", kExperts},
                                NamePart{".mlp.gate.", kExperts},
                                NamePart{"_orig_mod.", kWrapped},
                                NamePart{"module.", kWrapped},
                                NamePart{"v_head.", kOtherTask},
                                NamePart{"score.", kOtherTask},
                                NamePart{"classifier.", kOtherTask},
                                NamePart{"vision_", kImages},
                                NamePart{"visual.", kImages},
                                NamePart{"audio_", kImages},
                                NamePart{"language_model.", kImages}};

/// The layer of a name such as model.layers.3.mlp.up_proj.weight.
std::optional<std::int64_t> find_layer(std::string_view name) {
  constexpr std::string_view kBeginning = "model.layers.";
  if (!name.starts_with(kBeginning)) return std::nullopt;
  const std::string_view rest = name.substr(kBeginning.size());
  std::int64_t layer = 0;
  const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), layer);
  const bool is_layer = failure == std::errc() && end != rest.data() + rest.size() && *end == '.';
  return is_layer ? std::optional(layer) : std::nullopt;
}

}  // namespace

bool is_computed_buffer(std::string_view name) {
  return std::ranges::any_of(kBuffers, [&](std::string_view ending) { return name.ends_with(ending); });
}

std::string meaning_of_unexpected(std::string_view name, const ModelSpec& spec) {
  const auto* sign = std::ranges::find_if(
      kNameParts, [&](const NamePart& each) { return name.find(each.part) != std::string_view::npos; });
  if (sign != kNameParts.end()) return std::string(sign->meaning);
  if (const auto layer = find_layer(name); layer && *layer >= spec.num_layers) {
    return fmt::format("config.json has {} layers (num_hidden_layers), counted from 0", spec.num_layers);
  }
  if (name.ends_with(".q_norm.weight") || name.ends_with(".k_norm.weight")) {
    return fmt::format("a norm of queries or keys, which model_type {} has not", spec.family);
  }
  if (name.ends_with(".bias")) {
    return fmt::format(
        "a bias that model_type {} has not, or has only with attention_bias or mlp_bias true in config.json",
        spec.family);
  }
  return {};
}

}  // namespace collimate::detail
