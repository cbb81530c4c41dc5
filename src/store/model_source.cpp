#include "collimate/store/model_source.hpp"

#include <algorithm>
#include <filesystem>
#include <numeric>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/store/initialize.hpp"
#include "collimate/store/model_folder.hpp"

namespace collimate {

namespace {

std::string beside(const std::string& path, const char* name) {
  return (std::filesystem::path(path).parent_path() / name).string();
}

/// transformers 4 may list several named templates; the one without a name, or named "default", is used for chats.
std::string template_of(const nlohmann::json& field, const std::string& file) {
  if (field.is_string()) return field.get<std::string>();
  if (field.is_null()) return {};
  if (field.is_array()) {
    for (const auto& item : field) {
      const bool is_default = item.is_object() && item.value("name", nlohmann::json()) == "default";
      if (is_default && item.contains("template") && item["template"].is_string()) return item["template"];
    }
  }
  throw InputError(fmt::format("{}: chat_template is neither text nor a list with one named \"default\"", file));
}

}  // namespace

Hash128 combine_tensor_hashes(std::span<const TensorHash> tensors) {
  std::vector<const TensorHash*> sorted;
  for (const TensorHash& tensor : tensors) sorted.push_back(&tensor);
  std::ranges::sort(sorted, {}, [](const TensorHash* tensor) -> const std::string& { return tensor->info.name; });
  StreamingHash hash;
  for (const TensorHash* tensor : sorted) {
    hash.update(fmt::format("{} {} [{}] {}\n", tensor->info.name, storage_dtype_name(tensor->info.dtype),
                            fmt::join(tensor->info.shape, ","), tensor->hash.hex()));
  }
  return hash.digest();
}

ModelSource::ModelSource(std::string config_path)
    : config_path_(std::move(config_path)),
      config_text_(read_text_file(config_path_)),
      spec_(parse_model_config(config_text_, config_path_)) {}

void ModelSource::untie_head() { spec_.tie_word_embeddings = false; }

Hash128 ModelSource::weights_fingerprint() const {
  std::vector<std::size_t> all(tensors().size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const std::vector<Hash128> hashes = tensor_hashes(all);
  std::vector<TensorHash> tensors_with_hashes;
  for (std::size_t i = 0; i < all.size(); ++i) tensors_with_hashes.push_back({tensors()[i], hashes[i]});
  return combine_tensor_hashes(tensors_with_hashes);
}

Hash128 ModelSource::tensor_list_hash() const {
  std::vector<TensorHash> without_content;
  for (const TensorInfo& info : tensors()) without_content.push_back({info, Hash128()});
  return combine_tensor_hashes(without_content);
}

Hash128 ModelSource::config_fingerprint() const {
  nlohmann::json config = parse_json(config_text_, config_path_);
  for (const char* key : {"dtype", "torch_dtype", "transformers_version", "_name_or_path", "use_cache"}) {
    config.erase(key);
  }
  if (config.value("tie_word_embeddings", nlohmann::json()) == true) {
    config["tie_word_embeddings"] = spec_.tie_word_embeddings;
  }
  return hash_text(config.dump());
}

std::optional<Hash128> ModelSource::tokenizer_fingerprint() const {
  const auto text = find_text_file(beside(config_path_, "tokenizer.json"));
  return text ? std::optional(hash_text(*text)) : std::nullopt;
}

std::optional<Hash128> ModelSource::chat_template_fingerprint() const {
  if (!tokenizer_fingerprint()) return std::nullopt;
  if (const auto text = find_text_file(beside(config_path_, "chat_template.jinja"))) return hash_text(*text);
  const std::string path = beside(config_path_, "tokenizer_config.json");
  const auto text = find_text_file(path);
  if (!text) return std::nullopt;
  const nlohmann::json config = parse_json(*text, path);
  const bool has_template = config.is_object() && config.contains("chat_template");
  const std::string chat_template = has_template ? template_of(config["chat_template"], path) : "";
  return chat_template.empty() ? std::nullopt : std::optional(hash_text(chat_template));
}

std::unique_ptr<ModelSource> open_model_source(const ModelConfig& config) {
  if (config.path) return std::make_unique<ModelFolder>(ModelFolder::open(*config.path));
  if (config.config && config.initialize == ModelInitialize::kRandom) {
    return std::make_unique<RandomWeights>(*config.config, config.init_seed);
  }
  throw InputError("model: set path, or config together with initialize: random");
}

}  // namespace collimate
