#pragma once
// Tiny Hugging Face folders for tests: good ones from a config, and bad ones by changing the tensors before they are
// written.

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "collimate/io/output_file.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {

/// A Llama of two layers and few weights.
inline nlohmann::ordered_json tiny_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"model_type", "llama"},
          {"vocab_size", 12},
          {"hidden_size", 8},
          {"intermediate_size", 10},
          {"num_hidden_layers", 2},
          {"num_attention_heads", 2},
          {"num_key_value_heads", 1},
          {"tie_word_embeddings", false},
          {"hidden_act", "silu"},
          {"max_position_embeddings", 64},
          {"rms_norm_eps", 1e-6},
          {"rope_theta", 10000.0},
          {"initializer_range", 0.02},
          {"torch_dtype", "float32"}};
}

/// A tensor with its bytes.
struct StoredTensor : TensorInfo {
  std::string bytes;
};

/// float32 tensors of the config, each filled with values of its own.
inline std::vector<StoredTensor> tiny_tensors(const nlohmann::ordered_json& config) {
  std::vector<StoredTensor> tensors;
  for (const LogicalTensor& logical : logical_tensors(parse_model_config(config.dump(), "config.json"))) {
    StoredTensor tensor{{logical.name, StorageDtype::kF32, logical.shape}, {}};
    std::vector<float> values(static_cast<std::size_t>(logical.num_elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(tensors.size()) + static_cast<float>(i) / 64;
    }
    tensor.bytes.resize(values.size() * sizeof(float));
    std::memcpy(tensor.bytes.data(), values.data(), tensor.bytes.size());
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

/// The tensors with one more, which has the content of `original` under another name.
inline std::vector<StoredTensor> with_copy(std::vector<StoredTensor> tensors, const std::string& original,
                                           const std::string& name) {
  const auto found = std::ranges::find(tensors, original, &StoredTensor::name);
  StoredTensor copy = *found;
  copy.name = name;
  tensors.push_back(std::move(copy));
  return tensors;
}

inline void write_tensors(const std::filesystem::path& path, const std::vector<StoredTensor>& tensors) {
  std::filesystem::remove(path);
  OutputFile file(path);
  SafetensorsWriter writer(file, {tensors.begin(), tensors.end()});
  for (const StoredTensor& tensor : tensors) writer.append(std::as_bytes(std::span(tensor.bytes)));
  writer.finish();
  file.close();
}

/// config.json and model.safetensors.
inline void write_model_folder(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                               const std::vector<StoredTensor>& tensors) {
  std::filesystem::create_directories(folder);
  write_bytes(folder / "config.json", config.dump(2));
  write_tensors(folder / "model.safetensors", tensors);
}

/// config.json, one shard for every `per_shard` tensors, and the index.
inline void write_sharded_folder(const std::filesystem::path& folder, const nlohmann::ordered_json& config,
                                 const std::vector<StoredTensor>& tensors, std::size_t per_shard) {
  std::filesystem::create_directories(folder);
  write_bytes(folder / "config.json", config.dump(2));
  nlohmann::json map;
  for (std::size_t begin = 0; begin < tensors.size(); begin += per_shard) {
    const std::string name = "model-" + std::to_string(begin / per_shard) + ".safetensors";
    const std::vector<StoredTensor> shard(
        tensors.begin() + static_cast<std::ptrdiff_t>(begin),
        tensors.begin() + static_cast<std::ptrdiff_t>(std::min(begin + per_shard, tensors.size())));
    write_tensors(folder / name, shard);
    for (const StoredTensor& tensor : shard) map[tensor.name] = name;
  }
  write_bytes(folder / "model.safetensors.index.json", nlohmann::json{{"weight_map", map}}.dump());
}

}  // namespace collimate
