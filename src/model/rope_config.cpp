#include "rope_config.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

namespace collimate::detail {

namespace {

using nlohmann::json;

// What describes the scaling, and under which key. transformers 5 lets a non-empty `rope_scaling` win.
std::pair<std::string, const json*> find_scaling(const ConfigReader& top) {
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    const json* object = top.find(key);
    if (object != nullptr && !object->empty()) return {key, object};
  }
  return {"rope_parameters", nullptr};
}

void refuse_partial_rotation(ConfigReader& reader) {
  if (reader.positive("partial_rotary_factor", 1.0) != 1.0) {
    reader.problem("partial_rotary_factor", "only 1 is supported: RoPE over the whole head");
  }
}

void refuse_rope_by_layer_type(const json& scaling, ConfigReader& reader) {
  for (const char* layer_type : {"full_attention", "sliding_attention"}) {
    if (scaling.contains(layer_type)) reader.problem(layer_type, "RoPE that differs by layer type is not supported");
  }
}

void read_llama3(ConfigReader& top, ConfigReader& scaling, std::int64_t max_position_embeddings, RopeSpec& rope) {
  rope.low_freq_factor = scaling.required_positive("low_freq_factor");
  rope.high_freq_factor = scaling.required_positive("high_freq_factor");
  if (scaling.has("high_freq_factor") && scaling.has("low_freq_factor") &&
      rope.high_freq_factor <= rope.low_freq_factor) {
    scaling.problem("high_freq_factor", fmt::format("must be above low_freq_factor ({})", rope.low_freq_factor));
  }
  constexpr const char* kLength = "original_max_position_embeddings";
  rope.original_max_position_embeddings = scaling.integer(kLength, max_position_embeddings);
  rope.original_max_position_embeddings = top.integer(kLength, rope.original_max_position_embeddings);
}

}  // namespace

RopeSpec read_rope(const json& config, std::int64_t max_position_embeddings, std::vector<std::string>& problems) {
  ConfigReader top(config, "", problems);
  RopeSpec rope;
  rope.theta = top.positive("rope_theta", rope.theta);
  refuse_partial_rotation(top);
  const auto [key, object] = find_scaling(top);
  if (object == nullptr) return rope;
  if (!object->is_object()) {
    top.problem(key, "must be an object");
    return rope;
  }

  ConfigReader scaling(*object, key + ".", problems);
  rope.theta = scaling.positive("rope_theta", rope.theta);
  refuse_partial_rotation(scaling);
  refuse_rope_by_layer_type(*object, scaling);
  const char* type_key = scaling.has("rope_type") ? "rope_type" : "type";
  const std::string type = scaling.text(type_key).value_or("default");
  if (type == "default") return rope;
  if (type != "linear" && type != "llama3") {
    scaling.problem(type_key, "this RoPE type is not supported; supported are default, linear, llama3");
    return rope;
  }
  rope.scaling = type == "linear" ? RopeScaling::kLinear : RopeScaling::kLlama3;
  rope.factor = scaling.required_positive("factor");
  if (rope.scaling == RopeScaling::kLlama3) read_llama3(top, scaling, max_position_embeddings, rope);
  return rope;
}

}  // namespace collimate::detail
