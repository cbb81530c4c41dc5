#include "manifest.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "checksum.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/io/input_file.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestFormat = "collimate.checkpoint";
constexpr std::int64_t kManifestFormatVersion = 1;

nlohmann::ordered_json tensor_json(const TensorInfo& tensor, const std::string& group) {
  return {{"name", tensor.name},
          {"shape", tensor.shape},
          {"dtype", storage_dtype_name(tensor.dtype)},
          {"file", group_file_name(group)}};
}

Manifest manifest_of(const nlohmann::json& json) {
  Manifest manifest{.state = {.step = json.at("step").get<std::int64_t>(),
                              .trainer_state = json.at("trainer_state"),
                              .fingerprints = json.at("fingerprints"),
                              .configuration = json.at("configuration").get<std::string>()},
                    .files = {}};
  std::map<std::string, std::size_t> place_of_file;
  for (const auto& file : json.at("files")) {
    place_of_file.emplace(group_file_name(file.at("group")), manifest.files.size());
    manifest.files.push_back(
        {.group = file.at("group"), .num_bytes = file.at("bytes"), .hash = file.at("xxh3_128"), .tensors = {}});
  }
  for (const auto& tensor : json.at("tensors")) {
    const auto dtype = find_storage_dtype(tensor.at("dtype").get<std::string>());
    manifest.files.at(place_of_file.at(tensor.at("file")))
        .tensors.push_back({.name = tensor.at("name"), .dtype = dtype.value(), .shape = tensor.at("shape")});
  }
  return manifest;
}

void require_format(const std::string& path, const nlohmann::json& json) {
  const bool is_ours = json.is_object() && json.value("format", nlohmann::json()) == kManifestFormat;
  if (!is_ours) throw InputError(fmt::format("{}: is not the manifest of a checkpoint ({})", path, kManifestFormat));
  const nlohmann::json version = json.value("format_version", nlohmann::json());
  if (version != kManifestFormatVersion) {
    throw InputError(fmt::format("{}: format_version is {}; this version of collimate reads {}", path, version.dump(),
                                 kManifestFormatVersion));
  }
}

void require_files(const std::string& folder, const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files) {
    const fs::path path = fs::path(folder) / group_file_name(file.group);
    std::error_code failure;
    const auto num_bytes = fs::file_size(path, failure);
    if (failure) throw InputError(fmt::format("{}: {}", path.string(), failure.message()));
    if (num_bytes != file.num_bytes) {
      throw InputError(fmt::format("{}: has {} bytes; the manifest says {}", path.string(), num_bytes, file.num_bytes));
    }
  }
}

}  // namespace

std::string group_file_name(const std::string& group) { return group + ".safetensors"; }

std::string render_manifest(const Manifest& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const ManifestFile& file : manifest.files) {
    files.push_back({{"group", file.group}, {"bytes", file.num_bytes}, {"xxh3_128", file.hash}});
    for (const TensorInfo& tensor : file.tensors) tensors.push_back(tensor_json(tensor, file.group));
  }
  const nlohmann::ordered_json json = {{"format", kManifestFormat},
                                       {"format_version", kManifestFormatVersion},
                                       {"checksum", kNoChecksum},
                                       {"step", manifest.state.step},
                                       {"trainer_state", manifest.state.trainer_state},
                                       {"fingerprints", manifest.state.fingerprints},
                                       {"configuration", manifest.state.configuration},
                                       {"files", files},
                                       {"tensors", tensors}};
  // Paths in the configuration need not be UTF-8.
  const std::string text = json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return sealed(text);
}

Manifest read_manifest(const std::string& folder) {
  const std::string path = (fs::path(folder) / kManifestName).string();
  const std::string text = read_text_file(path);
  const nlohmann::json json = parse_json(text, path);
  require_format(path, json);
  const nlohmann::json stored = json.value("checksum", nlohmann::json());
  const std::string computed = hash_text(with_checksum(text, kNoChecksum)).hex();
  if (stored != computed) {
    throw InputError(
        fmt::format("{}: checksum is {}, but the content has {}: the file is damaged", path, stored.dump(), computed));
  }
  try {
    Manifest manifest = manifest_of(json);
    require_files(folder, manifest);
    return manifest;
  } catch (const Error&) {
    throw;
  } catch (const std::exception& failure) {  // a key, type or dtype that a manifest of this version does not have
    throw InputError(fmt::format("{}: is not a complete manifest: {}", path, failure.what()));
  }
}

}  // namespace collimate::detail
