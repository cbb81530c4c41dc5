#pragma once
// Checksums of a file block by block, so that who reads a part of it verifies that part alone.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "collimate/base/hash.hpp"

namespace collimate {

/// The bytes that one checksum covers.
inline constexpr std::uint64_t kBlockBytes = 1U << 20U;

/// XXH3-128 of each block of content that arrives in pieces.
class BlockHashes {
 public:
  void update(std::span<const std::byte> bytes);
  /// Of all blocks so far, the last one perhaps not whole; none of no content.
  [[nodiscard]] std::vector<Hash128> digests() const;

 private:
  std::vector<Hash128> whole_;
  StreamingHash open_;
  std::uint64_t open_bytes_ = 0;
};

}  // namespace collimate
