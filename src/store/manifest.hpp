#pragma once
// manifest.json of a checkpoint (docs/formats.md). Private to src/store.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collimate/store/checkpoint.hpp"
#include "collimate/store/reshard_plan.hpp"

namespace collimate::detail {

inline constexpr const char* kManifestName = "manifest.json";

/// One rank's file.
struct ManifestFile {
  std::string name;
  std::uint64_t num_bytes = 0;
  std::vector<std::string> blocks;  ///< XXH3-128 of each kBlockBytes, as hexadecimal digits
};

/// Where a piece of a tensor is: in a file under "GROUP/NAME".
struct ManifestPiece {
  std::string file;
  std::uint64_t offset = 0;  ///< of its first byte in the file, a multiple of an element's size
  TensorPiece piece;
};

/// A logical tensor, which its pieces make up.
struct ManifestTensor {
  std::string group;
  TensorInfo info;
  std::vector<ManifestPiece> pieces;
};

struct Manifest {
  CheckpointState state;
  std::vector<ManifestFile> files;
  std::vector<ManifestTensor> tensors;  ///< by group and name

  /// Null where there is none of that name.
  [[nodiscard]] const ManifestTensor* find(const std::string& group, const std::string& name) const;
};

/// What one rank has written: its file, and its pieces; neither where it has nothing.
struct ManifestShare {
  std::vector<ManifestFile> files;
  std::vector<ManifestTensor> tensors;
};

/// As text, to be sent.
std::string render_share(const ManifestShare& share);
ManifestShare parse_share(const std::string& text);

/// The whole of what all ranks have written, in their order. Throws InvariantError where ranks disagree about a tensor.
Manifest merge_shares(const CheckpointState& state, std::vector<ManifestShare> shares);

/// JSON with its own checksum: XXH3-128 of the text with zeros in the checksum's place.
std::string render_manifest(const Manifest& manifest);

/// Writes manifest.json into a folder, durably: all that the ranks have written, by render_share(). Throws Error, and
/// InvariantError as merge_shares().
void write_manifest(const std::string& folder, const CheckpointState& state, std::span<const std::string> shares);

/// Throws InputError unless the files that a manifest lists lie beside it with their sizes, and its pieces lie in them
/// and are pieces of its tensors, which they make up as far as their sizes tell. `manifest.tensors` are sorted.
void check_manifest(const std::string& folder, const Manifest& manifest);

/// Reads and checks manifest.json of a checkpoint folder, that its pieces lie in its files and make up each tensor, and
/// that its files are there with their sizes. Throws InputError.
Manifest read_manifest(const std::string& folder);

}  // namespace collimate::detail
