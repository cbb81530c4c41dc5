#pragma once
// One rank's file of a checkpoint: safetensors, with a checksum for each of its blocks. Private to src/store.

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/io/safetensors.hpp"
#include "manifest.hpp"

namespace collimate::detail {

/// A file that is verified as far as it is read. Used by one thread at a time.
class PieceFile {
 public:
  /// Maps the file and verifies its header. *Local.* Throws InputError naming the file and the damaged bytes.
  PieceFile(const std::string& folder, const ManifestFile& listed);

  /// The bytes [begin, begin + length) of the tensor `key`, whose blocks are verified unless they were before. Throws
  /// InputError naming file and tensor, also where there is no such tensor or it is shorter.
  [[nodiscard]] std::span<const std::byte> read(const std::string& key, std::uint64_t begin,
                                                std::uint64_t length) const;
  /// Verifies block number `block`. Throws InputError naming the tensors that lie in it.
  void verify_block(std::size_t block) const;
  [[nodiscard]] std::size_t num_blocks() const { return blocks_.size(); }

 private:
  [[nodiscard]] std::string contents_of(std::size_t block) const;

  SafetensorsFile file_;
  std::vector<std::string> blocks_;
  mutable std::vector<bool> is_verified_;  // [blocks]
};

/// Checksums as the manifest has them.
std::vector<std::string> hex_of(const std::vector<Hash128>& hashes);

}  // namespace collimate::detail
