// config.json: everything that is known of a model before its weights are opened.

#include "collimate/model/cost.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/target.hpp"
#include "support/model_folder.hpp"

namespace collimate::fuzz {

std::vector<std::string> seeds() {
  nlohmann::ordered_json qwen = tiny_config();
  qwen["architectures"] = {"Qwen2ForCausalLM"};
  qwen["model_type"] = "qwen2";
  qwen["use_sliding_window"] = true;
  qwen["sliding_window"] = 8;
  qwen["max_window_layers"] = 1;
  qwen["layer_types"] = {"full_attention", "sliding_attention"};
  nlohmann::ordered_json scaled = tiny_config();
  scaled["head_dim"] = 4;
  scaled["attention_bias"] = true;
  scaled["rope_scaling"] = {{"rope_type", "llama3"},
                            {"factor", 8.0},
                            {"low_freq_factor", 1.0},
                            {"high_freq_factor", 4.0},
                            {"original_max_position_embeddings", 32}};
  return {tiny_config().dump(1), qwen.dump(1), scaled.dump(1)};
}

void read(const std::string& input) {
  const ModelSpec spec = parse_model_config(input, "config.json");
  expect(std::ssize(spec.windowed_layers) == spec.num_layers, "each layer has a window or none");
  std::int64_t num_elements = 0;
  for (const LogicalTensor& tensor : logical_tensors(spec)) num_elements += tensor.num_elements();
  expect(num_elements > 0 && num_elements == num_parameters(spec), "the parameters can be counted");
  const StreamCounts stream{
      .num_tokens = 100, .num_labelled_rows = 50, .num_attended_keys = 5050, .num_windowed_keys = 800};
  expect(forward_flops(spec, stream).total() > 0, "the operations can be counted");
}

std::string mutate(std::string input, Dice& dice) { return mutate_json(input, dice); }

}  // namespace collimate::fuzz
