#include "weight_files.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/input_file.hpp"

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
    if (name.empty() || name.starts_with('.') || name.find('/') != std::string::npos) {
      throw InputError(
          fmt::format("{}: weight_map: {}: {} is not the name of a file beside the index", path, tensor, file.dump()));
    }
    map.emplace(tensor, name);
  }
  return map;
}

/// What the index says and the shards do not have, and the other way round.
std::vector<std::string> index_problems(const WeightMap& map, const std::vector<SafetensorsFile>& shards) {
  std::vector<std::string> problems;
  std::set<std::pair<std::string, std::string>> stored;  // (tensor, shard)
  for (const SafetensorsFile& shard : shards) {
    const std::string name = fs::path(shard.path()).filename().string();
    for (const TensorView& tensor : shard.tensors()) {
      stored.emplace(tensor.name, name);
      const auto indexed = map.find(tensor.name);
      if (indexed == map.end()) {
        problems.push_back(fmt::format("{} is in {}, but not in the index", tensor.name, name));
      } else if (indexed->second != name) {
        problems.push_back(fmt::format("{} is in {}; the index says {}", tensor.name, name, indexed->second));
      }
    }
  }
  for (const auto& [tensor, shard] : map) {
    if (!stored.contains({tensor, shard})) problems.push_back(fmt::format("{} is not in {}", tensor, shard));
  }
  return problems;
}

std::vector<SafetensorsFile> open_shards(const std::string& folder) {
  const std::string index_path = (fs::path(folder) / kIndexFileName).string();
  const WeightMap map = read_index(index_path);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map) names.insert(shard);
  std::vector<std::string> problems;
  std::vector<SafetensorsFile> shards;
  for (const std::string& name : names) {
    const fs::path path = fs::path(folder) / name;
    if (fs::exists(path)) {
      shards.emplace_back(path.string());
    } else {
      problems.push_back(fmt::format("{}: there is no such file", name));
    }
  }
  if (problems.empty()) problems = index_problems(map, shards);
  if (problems.empty()) return shards;
  throw InputError(
      fmt::format("{}: the index does not fit the files beside it:\n  {}", index_path, fmt::join(problems, "\n  ")));
}

bool has_pickled_weights(const std::string& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("pytorch_model") || name.ends_with(".pth")) return true;
  }
  return false;
}

}  // namespace

std::vector<SafetensorsFile> open_weight_files(const std::string& folder) {
  const fs::path single = fs::path(folder) / kSingleFileName;
  std::vector<SafetensorsFile> files;
  if (fs::exists(single)) {
    files.emplace_back(single.string());
    return files;
  }
  if (fs::exists(fs::path(folder) / kIndexFileName)) return open_shards(folder);
  if (has_pickled_weights(folder)) {
    throw InputError(
        fmt::format("{}: has weights in pickle files only, which are not read; load it in transformers and "
                    "call save_pretrained to get safetensors",
                    folder));
  }
  throw InputError(fmt::format("{}: has neither {} nor {}", folder, kSingleFileName, kIndexFileName));
}

bool is_weight_file(std::string_view name) {
  constexpr std::array kEndings{".safetensors", ".safetensors.index.json",
                                ".bin",         ".bin.index.json",
                                ".pt",          ".pth",
                                ".ckpt",        ".h5",
                                ".msgpack",     ".gguf",
                                ".onnx",        ".index",
                                ".ot",          ".data"};
  return std::ranges::any_of(kEndings, [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace collimate::detail
