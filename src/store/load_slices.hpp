#pragma once
// Which bytes of which blocks are the elements that a rank wants. Private to src/store.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "block_reader.hpp"
#include "collimate/store/load_pieces.hpp"

namespace collimate::detail {

/// Elements that lie side by side in a block and in what was asked for.
struct BlockSlice {
  std::int64_t block = 0;
  std::size_t request = 0;
  std::int64_t to = 0;      ///< element of the request's `into`
  std::int64_t from = 0;    ///< byte of the block
  std::int64_t length = 0;  ///< elements
};

/// Throws InputError where the checkpoint at `path` has none of that name.
const ManifestTensor& find_tensor(const std::string& path, const Manifest& manifest, const std::string& group,
                                  const std::string& name);

/// By block, request and place. *Local.* Throws InputError where a tensor is not in the checkpoint at `path`, has
/// another shape, or its pieces do not make it up.
std::vector<BlockSlice> slices_of(const std::string& path, const BlockTable& table,
                                  std::span<const LoadRequest> requests);

/// The blocks that slices are of.
std::vector<ShardRange> blocks_of(std::span<const BlockSlice> slices);

/// Takes the slices of one block out of its bytes.
void scatter_block(std::span<const std::byte> bytes, std::span<const BlockSlice> slices, const Manifest& manifest,
                   std::span<const LoadRequest> requests);

}  // namespace collimate::detail
