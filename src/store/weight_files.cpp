#include "weight_files.hpp"

#include <algorithm>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/input_file.hpp"
#include "input_errors.hpp"
#include "model_place.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

/// Tensor name -> shard.
using WeightMap = std::map<std::string, std::string>;

WeightMap read_index(const std::string& path) {
  const nlohmann::json index = parse_json(read_text_file(path), path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw InputError(fmt::format("{}: has no \"weight_map\" from tensor names to files", path));
  }
  WeightMap map;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    const std::string name = file.is_string() ? file.get<std::string>() : "";
    if (!is_plain_file_name(name)) {
      throw InputError(
          fmt::format("{}: weight_map: {}: {} is not the name of a file beside the index", path, tensor, file.dump()));
    }
    map.emplace(tensor, name);
  }
  return map;
}

std::vector<SafetensorsFile> open_shards(const std::string& folder, const WeightMap& map) {
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map) names.insert(shard);
  std::vector<SafetensorsFile> shards;
  for (const std::string& name : names) {
    const fs::path path = fs::path(folder) / name;
    if (fs::exists(path)) shards.emplace_back(path.string());
  }
  return shards;
}

bool is_weights_name(const std::string& name) {
  return !name.starts_with('.') && !name.starts_with("adapter_model.") &&
         (name.ends_with(".safetensors") || name.ends_with(".safetensors.index.json"));
}

std::vector<std::string> find_unread(const std::string& folder, const WeightFiles& weights) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (is_weights_name(name)) names.insert(name);
  }
  if (!weights.index.empty()) names.erase(kIndexFileName);
  for (const SafetensorsFile& file : weights.files) names.erase(fs::path(file.path()).filename().string());
  return {names.begin(), names.end()};
}

WeightFiles weight_files_of(const std::string& folder) {
  const std::string single = (fs::path(folder) / kSingleFileName).string();
  const std::string index = (fs::path(folder) / kIndexFileName).string();
  WeightFiles weights;
  if (fs::exists(single)) {
    weights.files.emplace_back(single);
  } else if (fs::exists(index)) {
    weights.index = read_index(index);
    weights.files = open_shards(folder, weights.index);
  } else {
    refuse_other_weights(folder);
  }
  weights.unread = find_unread(folder, weights);
  return weights;
}

}  // namespace

WeightFiles open_weight_files(const std::string& folder) {
  return with_input_errors([&] { return weight_files_of(folder); });
}

}  // namespace collimate::detail
