#include "collimate/store/export.hpp"

#include <filesystem>
#include <map>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/atomic_folder.hpp"
#include "collimate/io/input_file.hpp"
#include "collimate/io/output_file.hpp"
#include "tensor_bytes.hpp"
#include "weight_files.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

void write_new_file(const std::string& path, std::string_view content) {
  OutputFile file(path);
  file.write(content);
  file.close();
}

StorageDtype exported_dtype(ExportDtype wanted, StorageDtype stored) {
  switch (wanted) {
    case ExportDtype::kSource:
      return stored;
    case ExportDtype::kFloat32:
      return StorageDtype::kF32;
    case ExportDtype::kFloat16:
      return StorageDtype::kF16;
    case ExportDtype::kBfloat16:
      return StorageDtype::kBF16;
    case ExportDtype::kFloat64:
      return StorageDtype::kF64;
  }
  throw InvariantError("unknown ExportDtype");
}

/// config.json of what is exported, in the keys that the source uses; the source's bytes where nothing changes.
std::string exported_config(const ModelSource& source, ExportDtype dtype) {
  std::string text = read_text_file(source.config_path());
  static_cast<void>(parse_json(text, source.config_path()));  // strictly; what follows keeps the order of the keys
  const auto stated = nlohmann::ordered_json::parse(text);
  auto config = stated;
  // transformers 4 writes torch_dtype, 5 writes dtype and still reads the other.
  const char* const dtype_key = config.contains("dtype") ? "dtype" : "torch_dtype";
  if (dtype != ExportDtype::kSource) config[dtype_key] = enum_name(dtype);
  // transformers 4 would tie a head of its own where this says so.
  if (const auto tie = config.find("tie_word_embeddings"); tie != config.end() && *tie == true) {
    *tie = source.spec().tie_word_embeddings;
  }
  return config == stated ? text : config.dump(2) + "\n";
}

/// What goes with the weights, byte for byte.
void write_companions(const ModelSource& source, const fs::path& folder) {
  const fs::path from = fs::path(source.config_path()).parent_path();
  for (const std::string& name : source.companions()) {
    fs::create_directories((folder / name).parent_path());
    write_new_file((folder / name).string(), read_text_file((from / name).string()));
  }
}

using Shard = std::vector<TensorInfo>;

/// Fills shards in order; a tensor larger than the limit gets one of its own.
std::vector<Shard> plan_shards(const ModelSource& source, const ExportOptions& options) {
  std::vector<Shard> shards(1);
  std::uint64_t shard_bytes = 0;
  for (TensorInfo tensor : source.tensors()) {
    tensor.dtype = exported_dtype(options.dtype, tensor.dtype);
    if (!shards.back().empty() && shard_bytes + tensor.num_bytes() > options.max_shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shard_bytes += tensor.num_bytes();
    shards.back().push_back(std::move(tensor));
  }
  return shards;
}

std::string shard_name(std::size_t shard_index, std::size_t num_shards) {
  if (num_shards == 1) return detail::kSingleFileName;
  return fmt::format("model-{:05}-of-{:05}.safetensors", shard_index + 1, num_shards);
}

void write_shard(const std::string& path, const Shard& shard, const LoadTensor& weights) {
  OutputFile file(path);
  SafetensorsWriter writer(file, shard);
  for (const TensorInfo& info : shard) {
    const at::Tensor loaded = weights(info.name);
    check(loaded.sizes().vec() == info.shape, fmt::format("the exported '{}' has the model's shape", info.name));
    const at::Tensor tensor = loaded.detach().to(at::kCPU, detail::scalar_type_of(info.dtype)).contiguous();
    writer.append(detail::bytes_of(tensor));
  }
  writer.finish();
  file.close();
}

void write_index(const std::string& folder, const std::vector<Shard>& shards) {
  nlohmann::ordered_json map = nlohmann::ordered_json::object();
  std::uint64_t total_bytes = 0;
  for (std::size_t i = 0; i < shards.size(); ++i) {
    for (const TensorInfo& tensor : shards[i]) {
      map[tensor.name] = shard_name(i, shards.size());
      total_bytes += tensor.num_bytes();
    }
  }
  const nlohmann::ordered_json index = {{"metadata", {{"total_size", total_bytes}}}, {"weight_map", map}};
  write_new_file(folder + "/" + detail::kIndexFileName, index.dump(2) + "\n");
}

}  // namespace

void export_model_folder(const ModelSource& source, const LoadTensor& weights, const ExportOptions& options) {
  AtomicFolder staged(options.folder);
  const std::string& folder = staged.staging_path();
  write_new_file(folder + "/config.json", exported_config(source, options.dtype));
  write_companions(source, folder);
  const std::vector<Shard> shards = plan_shards(source, options);
  for (std::size_t i = 0; i < shards.size(); ++i) {
    write_shard(folder + "/" + shard_name(i, shards.size()), shards[i], weights);
  }
  if (shards.size() > 1) write_index(folder, shards);
  staged.commit();
}

}  // namespace collimate
