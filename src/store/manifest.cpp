#include "manifest.hpp"

#include <algorithm>
#include <climits>
#include <filesystem>
#include <map>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "checksum.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/block_hashes.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/io/output_file.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

constexpr const char* kManifestFormat = "collimate.checkpoint";
constexpr std::int64_t kManifestFormatVersion = 3;

nlohmann::ordered_json range_json(const ShardRange& range) { return {range.begin, range.length}; }

/// A whole number from `least` to `most`; the library would round, cut or wrap others.
std::int64_t number_of(const nlohmann::json& json, std::int64_t least = 0, std::int64_t most = INT64_MAX) {
  const auto number = find_whole_number(json);
  if (number && *number >= least && *number <= most) return *number;
  throw Error(fmt::format("{} is not a whole number from {} to {}", json.dump(), least, most));
}

std::uint64_t size_of(const nlohmann::json& json) { return static_cast<std::uint64_t>(number_of(json)); }

ShardRange range_of(const nlohmann::json& json) {
  return {.begin = number_of(json.at(0)), .length = number_of(json.at(1))};
}

std::vector<std::int64_t> shape_of(const nlohmann::json& json) {
  if (!json.is_array()) throw Error(fmt::format("the shape {} is not a list", json.dump()));
  std::vector<std::int64_t> shape;
  for (const auto& size : json) shape.push_back(number_of(size));
  return shape;
}

std::map<std::string, int> layout_of(const nlohmann::json& json) {
  std::map<std::string, int> layout;
  for (const auto& [axis, ranks] : json.items()) layout.emplace(axis, static_cast<int>(number_of(ranks, 1, INT_MAX)));
  return layout;
}

nlohmann::ordered_json json_of(const ManifestFile& file) {
  return {{"name", file.name}, {"bytes", file.num_bytes}, {"blocks", file.blocks}};
}

nlohmann::ordered_json json_of(const ManifestTensor& tensor) {
  nlohmann::ordered_json pieces = nlohmann::ordered_json::array();
  for (const auto& [file, offset, piece] : tensor.pieces) {
    pieces.push_back({{"file", file},
                      {"offset", offset},
                      {"dim", piece.dim},
                      {"part", range_json(piece.part)},
                      {"flat", range_json(piece.flat)}});
  }
  return {{"group", tensor.group},
          {"name", tensor.info.name},
          {"shape", tensor.info.shape},
          {"dtype", storage_dtype_name(tensor.info.dtype)},
          {"pieces", pieces}};
}

template <class Element>
nlohmann::ordered_json array_of(const std::vector<Element>& elements) {
  nlohmann::ordered_json array = nlohmann::ordered_json::array();
  for (const Element& element : elements) array.push_back(json_of(element));
  return array;
}

std::vector<ManifestFile> files_of(const nlohmann::json& json) {
  std::vector<ManifestFile> files;
  for (const auto& file : json.at("files")) {
    files.push_back({.name = file.at("name"), .num_bytes = size_of(file.at("bytes")), .blocks = file.at("blocks")});
  }
  return files;
}

std::vector<ManifestTensor> tensors_of(const nlohmann::json& json) {
  std::vector<ManifestTensor> tensors;
  for (const auto& tensor : json.at("tensors")) {
    const auto dtype = find_storage_dtype(tensor.at("dtype").get<std::string>());
    ManifestTensor& own = tensors.emplace_back(ManifestTensor{
        .group = tensor.at("group"),
        .info = {.name = tensor.at("name"), .dtype = dtype.value(), .shape = shape_of(tensor.at("shape"))},
        .pieces = {}});
    for (const auto& piece : tensor.at("pieces")) {
      own.pieces.push_back({.file = piece.at("file"),
                            .offset = size_of(piece.at("offset")),
                            .piece = {.dim = static_cast<int>(number_of(piece.at("dim"), -1, INT_MAX)),
                                      .part = range_of(piece.at("part")),
                                      .flat = range_of(piece.at("flat"))}});
    }
  }
  return tensors;
}

Manifest manifest_of(const nlohmann::json& json) {
  if (size_of(json.at("block_bytes")) != kBlockBytes) throw Error("block_bytes is not 1048576");
  return {.state = {.step = number_of(json.at("step")),
                    .trainer_state = json.at("trainer_state"),
                    .fingerprints = json.at("fingerprints"),
                    .configuration = json.at("configuration").get<std::string>(),
                    .layout = layout_of(json.at("layout"))},
          .files = files_of(json),
          .tensors = tensors_of(json)};
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

auto group_and_name(const ManifestTensor& tensor) { return std::tie(tensor.group, tensor.info.name); }

}  // namespace

const ManifestTensor* Manifest::find(const std::string& group, const std::string& name) const {
  const auto found = std::ranges::lower_bound(tensors, std::tie(group, name), {}, group_and_name);
  return found == tensors.end() || group_and_name(*found) != std::tie(group, name) ? nullptr : &*found;
}

std::string render_share(const ManifestShare& share) {
  return nlohmann::ordered_json{{"files", array_of(share.files)}, {"tensors", array_of(share.tensors)}}.dump();
}

ManifestShare parse_share(const std::string& text) {
  const nlohmann::json json = parse_json(text, "a rank's share of the manifest");
  return {.files = files_of(json), .tensors = tensors_of(json)};
}

Manifest merge_shares(const CheckpointState& state, std::vector<ManifestShare> shares) {
  Manifest manifest{.state = state, .files = {}, .tensors = {}};
  std::map<std::pair<std::string, std::string>, ManifestTensor> tensors;
  for (ManifestShare& share : shares) {
    for (ManifestFile& file : share.files) manifest.files.push_back(std::move(file));
    for (ManifestTensor& tensor : share.tensors) {
      ManifestTensor& merged =
          tensors
              .try_emplace({tensor.group, tensor.info.name},
                           ManifestTensor{.group = tensor.group, .info = tensor.info, .pieces = {}})
              .first->second;
      check(merged.info == tensor.info, "ranks agree about the tensors that they save");
      for (ManifestPiece& piece : tensor.pieces) merged.pieces.push_back(std::move(piece));
    }
  }
  for (auto& [key, tensor] : tensors) manifest.tensors.push_back(std::move(tensor));
  return manifest;
}

std::string render_manifest(const Manifest& manifest) {
  const nlohmann::ordered_json json = {{"format", kManifestFormat},
                                       {"format_version", kManifestFormatVersion},
                                       {"checksum", kNoChecksum},
                                       {"step", manifest.state.step},
                                       {"trainer_state", manifest.state.trainer_state},
                                       {"fingerprints", manifest.state.fingerprints},
                                       {"configuration", manifest.state.configuration},
                                       {"layout", manifest.state.layout},
                                       {"block_bytes", kBlockBytes},
                                       {"files", array_of(manifest.files)},
                                       {"tensors", array_of(manifest.tensors)}};
  // Paths in the configuration need not be UTF-8.
  const std::string text = json.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  return sealed(text);
}

void write_manifest(const std::string& folder, const CheckpointState& state, std::span<const std::string> shares) {
  std::vector<ManifestShare> parsed;
  for (const std::string& share : shares) parsed.push_back(parse_share(share));
  OutputFile file((fs::path(folder) / kManifestName).string());
  file.write(render_manifest(merge_shares(state, std::move(parsed))));
  file.close();
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
  Manifest manifest;
  try {
    manifest = manifest_of(json);
    std::ranges::sort(manifest.tensors, {}, group_and_name);
  } catch (const std::exception& failure) {  // a key, type or dtype that a manifest of this version does not have
    throw InputError(fmt::format("{}: is not a complete manifest: {}", path, failure.what()));
  }
  check_manifest(folder, manifest);
  return manifest;
}

}  // namespace collimate::detail
