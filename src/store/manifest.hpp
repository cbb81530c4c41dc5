#pragma once
// manifest.json of a checkpoint (docs/formats.md). Private to src/store.

#include <cstdint>
#include <string>
#include <vector>

#include "collimate/store/checkpoint.hpp"

namespace collimate::detail {

inline constexpr const char* kManifestName = "manifest.json";

/// One safetensors file of a checkpoint: group "model" in model.safetensors.
struct ManifestFile {
  std::string group;
  std::uint64_t num_bytes = 0;
  std::string hash;  ///< XXH3-128 of the file, as hexadecimal digits.
  std::vector<TensorInfo> tensors;
};

struct Manifest {
  CheckpointState state;
  std::vector<ManifestFile> files;
};

std::string group_file_name(const std::string& group);

/// JSON with its own checksum: XXH3-128 of the text with zeros in the checksum's place.
std::string render_manifest(const Manifest& manifest);

/// Reads and checks manifest.json of a checkpoint folder, and that its files are there with their sizes. Throws
/// InputError.
Manifest read_manifest(const std::string& folder);

}  // namespace collimate::detail
