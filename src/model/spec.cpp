#include "collimate/model/spec.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/model/family.hpp"
#include "config_reader.hpp"
#include "rope_config.hpp"

namespace collimate {

namespace {

using detail::ConfigReader;
using nlohmann::json;

/// Each layer has tensors that are listed by name before any weight file is looked at.
constexpr std::int64_t kMostLayers = 10'000;
/// Their bytes, and whatever is computed from them, stay inside 63 bits.
constexpr double kMostParameters = 0x1p50;

[[noreturn]] void refuse(const std::string& file, const std::vector<std::string>& problems) {
  throw InputError(fmt::format("{}: {}", file, fmt::join(problems, fmt::format("\n{}: ", file))));
}

json parse_object(std::string_view text, const std::string& file) {
  json config = parse_json(text, file);
  if (!config.is_object()) refuse(file, {"must hold one JSON object"});
  return config;
}

// Without a family no other key has a meaning, so this is the one problem that is reported alone.
const Family& read_family(ConfigReader& reader, const std::string& file, std::vector<std::string>& problems) {
  const std::optional<std::string> model_type = reader.text("model_type");
  const Family* family = model_type ? find_family(*model_type) : nullptr;
  if (family != nullptr) return *family;
  if (problems.empty()) {
    const std::string what = "supported are " + supported_families();
    model_type ? reader.problem("model_type", what) : reader.missing("model_type", "one of " + supported_families());
  }
  refuse(file, problems);
}

void check_architecture(ConfigReader& reader, const Family& family) {
  const json* architectures = reader.find("architectures");
  if (architectures == nullptr) return;
  if (*architectures != json::array({family.architecture})) {
    reader.problem("architectures", fmt::format("must be [\"{}\"] for model_type {}; supported are {}",
                                                family.architecture, family.model_type, supported_families()));
  }
}

void check_unsupported(ConfigReader& reader) {
  if (reader.text("hidden_act").value_or("silu") != "silu") {
    reader.problem("hidden_act", "this activation is not supported; supported is silu");
  }
  for (const char* key : {"quantization_config", "compression_config"}) {
    if (!reader.has(key)) continue;
    reader.problem(key,
                   "the weights are quantized, which is not supported; take the model's folder with plain weights, or "
                   "load this one in transformers, call dequantize() and save_pretrained");
  }
  if (reader.has("per_layer_config")) {
    reader.problem("per_layer_config", "not supported: all layers must be alike");
  }
}

void read_sizes(ConfigReader& reader, const Family& family, ModelSpec& spec) {
  spec.vocab_size = reader.required_integer("vocab_size");
  spec.hidden_size = reader.required_integer("hidden_size");
  spec.intermediate_size = reader.required_integer("intermediate_size");
  spec.num_layers = reader.required_integer("num_hidden_layers", {.most = kMostLayers});
  spec.num_heads = reader.required_integer("num_attention_heads");
  spec.max_position_embeddings = reader.integer("max_position_embeddings", family.default_max_position_embeddings);
  spec.rms_norm_eps = reader.positive("rms_norm_eps", spec.rms_norm_eps);
  spec.initializer_range = reader.positive("initializer_range", spec.initializer_range);
  spec.tie_word_embeddings = reader.boolean("tie_word_embeddings", false);
}

// `default` of transformers for a missing key; an explicit null always means as many as heads.
std::int64_t read_num_kv_heads(ConfigReader& reader, const json& config, const Family& family, std::int64_t num_heads) {
  constexpr const char* kKey = "num_key_value_heads";
  const bool is_null = config.contains(kKey) && !reader.has(kKey);
  const std::int64_t fallback = is_null ? num_heads : family.default_num_kv_heads.value_or(num_heads);
  const std::int64_t count = reader.integer(kKey, fallback);
  if (num_heads % count != 0) {
    const std::string what = fmt::format("must divide num_attention_heads ({})", num_heads);
    reader.has(kKey) ? reader.problem(kKey, what)
                     : reader.missing(kKey, fmt::format("given: its default {} does not "
                                                        "divide num_attention_heads ({})",
                                                        count, num_heads));
  }
  return count;
}

void read_heads(ConfigReader& reader, const json& config, const Family& family, ModelSpec& spec) {
  spec.num_kv_heads = read_num_kv_heads(reader, config, family, spec.num_heads);
  const bool derived = !reader.has("head_dim") && !family.default_head_dim;
  if (derived && spec.hidden_size % spec.num_heads != 0) {
    reader.problem("hidden_size", fmt::format("must be a multiple of num_attention_heads ({})", spec.num_heads));
  }
  spec.head_dim = reader.integer("head_dim", family.default_head_dim.value_or(spec.hidden_size / spec.num_heads));
  if (spec.head_dim % 2 != 0 || spec.head_dim == 0) {
    reader.problem(derived ? "hidden_size" : "head_dim",
                   fmt::format("gives a head size of {}; RoPE needs an even one", spec.head_dim));
  }
}

bool read_bias(ConfigReader& reader, BiasRule rule, const char* key) {
  return rule == BiasRule::kAlways || (rule == BiasRule::kFromConfig && reader.boolean(key, false));
}

std::string layer_type_name(const json& entry) {
  const auto name = entry.is_string() ? entry.get<std::string>() : entry.dump();
  return name == "attention" ? "full_attention" : name;  // An older name that transformers still reads.
}

// The window rule of transformers for one family: `sliding_window` and the layers it holds for.
void read_window_rule(ConfigReader& reader, const Family& family, ModelSpec& spec, const json& config) {
  constexpr std::int64_t kDefaultWindow = 4096;
  constexpr std::int64_t kDefaultMaxWindowLayers = 28;
  const bool is_null = config.contains("sliding_window") && !reader.has("sliding_window");
  const bool used = family.window_rule == WindowRule::kEveryLayer ||
                    (family.window_rule == WindowRule::kByLayer && reader.boolean("use_sliding_window", false));
  if (used && !is_null) spec.sliding_window = reader.integer("sliding_window", kDefaultWindow);
  const std::int64_t first_windowed = family.window_rule == WindowRule::kByLayer
                                          ? reader.integer("max_window_layers", kDefaultMaxWindowLayers, {.least = 0})
                                          : 0;
  spec.windowed_layers.assign(static_cast<std::size_t>(spec.num_layers), false);
  if (!spec.sliding_window) return;
  for (std::int64_t i = first_windowed; i < spec.num_layers; ++i)
    spec.windowed_layers[static_cast<std::size_t>(i)] = true;
}

// `layer_types` overrides the rule where the family reads it, and must agree with the rule where it does not.
void read_layer_types(ConfigReader& reader, const Family& family, ModelSpec& spec) {
  const json* layer_types = reader.find("layer_types");
  if (layer_types == nullptr) return;
  if (!layer_types->is_array() || layer_types->size() != spec.windowed_layers.size()) {
    reader.problem("layer_types", fmt::format("must list {} layers", spec.num_layers));
    return;
  }
  for (std::size_t i = 0; i < layer_types->size(); ++i) {
    const std::string name = layer_type_name((*layer_types)[i]);
    const bool windowed = name == "sliding_attention";
    if (!windowed && name != "full_attention") {
      return reader.problem("layer_types", "supported are full_attention, sliding_attention");
    }
    if (family.window_rule == WindowRule::kByLayer) {
      if (windowed && !spec.sliding_window) {
        return reader.problem("layer_types", "sliding_attention needs use_sliding_window and sliding_window");
      }
      spec.windowed_layers[i] = windowed;
    } else if (windowed != spec.windowed_layers[i]) {
      return reader.problem("layer_types",
                            fmt::format("model_type {} has one kind of attention in all its layers, here {}",
                                        family.model_type, windowed ? "full_attention" : "sliding_attention"));
    }
  }
}

void read_windows(ConfigReader& reader, const Family& family, ModelSpec& spec, const json& config) {
  read_window_rule(reader, family, spec, config);
  read_layer_types(reader, family, spec);
  if (std::ranges::none_of(spec.windowed_layers, std::identity())) spec.sliding_window.reset();
}

std::optional<std::string> read_dtype(ConfigReader& reader) {
  constexpr std::array kNames{"float32", "float64", "bfloat16", "float16"};
  const char* key = reader.has("dtype") ? "dtype" : "torch_dtype";
  const std::optional<std::string> name = reader.text(key);
  if (name && std::ranges::find(kNames, *name) == kNames.end()) {
    reader.problem(key, fmt::format("supported are {}", fmt::join(kNames, ", ")));
  }
  return name;
}

/// Sizes that are each possible may not be so together. In floats, which do not overflow.
void check_total(const ModelSpec& spec, std::vector<std::string>& problems) {
  const auto hidden = static_cast<double>(spec.hidden_size);
  const double heads = 2.0 * static_cast<double>(spec.num_heads) + 2.0 * static_cast<double>(spec.num_kv_heads);
  const double attention = hidden * heads * static_cast<double>(spec.head_dim);
  const double mlp = 3.0 * hidden * static_cast<double>(spec.intermediate_size);
  const double layers = static_cast<double>(spec.num_layers) * (attention + mlp);
  const double total = layers + 2.0 * hidden * static_cast<double>(spec.vocab_size);
  if (total <= kMostParameters) return;
  problems.push_back(
      fmt::format("the sizes make a model of {:.2g} parameters: must be at most {:.2g}", total, kMostParameters));
}

}  // namespace

std::optional<std::int64_t> ModelSpec::window_of_layer(std::int64_t layer_index) const {
  check(layer_index >= 0 && layer_index < num_layers, "the layer exists");
  return windowed_layers[static_cast<std::size_t>(layer_index)] ? sliding_window : std::nullopt;
}

ModelSpec parse_model_config(std::string_view json_text, const std::string& file) {
  const json config = parse_object(json_text, file);
  std::vector<std::string> problems;
  ConfigReader reader(config, "", problems);
  const Family& family = read_family(reader, file, problems);
  ModelSpec spec;
  spec.family = family.model_type;
  spec.architecture = family.architecture;
  check_architecture(reader, family);
  check_unsupported(reader);
  read_sizes(reader, family, spec);
  read_heads(reader, config, family, spec);
  spec.qkv_bias = read_bias(reader, family.qkv_bias, "attention_bias");
  spec.attention_output_bias = read_bias(reader, family.attention_output_bias, "attention_bias");
  spec.mlp_bias = read_bias(reader, family.mlp_bias, "mlp_bias");
  spec.qk_norm = family.qk_norm;
  spec.rope = detail::read_rope(config, spec.max_position_embeddings, problems);
  read_windows(reader, family, spec, config);
  spec.declared_dtype = read_dtype(reader);
  check_total(spec, problems);
  if (!problems.empty()) refuse(file, problems);
  return spec;
}

}  // namespace collimate
