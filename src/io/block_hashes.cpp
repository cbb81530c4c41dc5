#include "collimate/io/block_hashes.hpp"

#include <algorithm>

namespace collimate {

void BlockHashes::update(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto taken = bytes.first(std::min<std::uint64_t>(bytes.size(), kBlockBytes - open_bytes_));
    open_.update(taken);
    open_bytes_ += taken.size();
    bytes = bytes.subspan(taken.size());
    if (open_bytes_ < kBlockBytes) continue;
    whole_.push_back(open_.digest());
    open_ = StreamingHash();
    open_bytes_ = 0;
  }
}

std::vector<Hash128> BlockHashes::digests() const {
  std::vector<Hash128> digests = whole_;
  if (open_bytes_ > 0) digests.push_back(open_.digest());
  return digests;
}

}  // namespace collimate
