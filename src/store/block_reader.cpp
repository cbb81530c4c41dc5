#include "block_reader.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <filesystem>
#include <mutex>

#include <ATen/Parallel.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/io/block_hashes.hpp"

namespace collimate::detail {

namespace {

/// The tensors that have bytes [begin, end) of a file, as far as a message can name them.
std::string contents_of(const Manifest& manifest, const std::string& file, std::uint64_t begin, std::uint64_t end) {
  std::vector<std::string> names;
  std::uint64_t first_offset = end;
  for (const ManifestTensor& tensor : manifest.tensors) {
    for (const ManifestPiece& piece : tensor.pieces) {
      if (piece.file != file) continue;
      const std::uint64_t bytes =
          static_cast<std::uint64_t>(piece.piece.flat.length) * element_bytes(tensor.info.dtype);
      first_offset = std::min(first_offset, piece.offset);
      if (piece.offset < end && piece.offset + bytes > begin) names.push_back(tensor.group + "/" + tensor.info.name);
    }
  }
  constexpr std::size_t kShownNames = 3;
  std::string rest = names.size() > kShownNames ? fmt::format(" or {} more", names.size() - kShownNames) : "";
  names.resize(std::min(kShownNames, names.size()));
  if (first_offset > begin) rest += names.empty() ? "its header" : " or its header";
  return fmt::format("{}{}", fmt::join(names, ", "), rest);
}

}  // namespace

BlockTable::BlockTable(const Manifest& manifest) : manifest_(&manifest) {
  for (const ManifestFile& file : manifest.files) {
    first_blocks_.push_back(num_blocks());
    first_block_.emplace(file.name, num_blocks());
    for (std::uint64_t begin = 0; begin < file.num_bytes; begin += kBlockBytes) {
      bytes_.push_back(static_cast<std::int64_t>(std::min<std::uint64_t>(kBlockBytes, file.num_bytes - begin)));
    }
  }
}

std::size_t BlockTable::file_of(std::int64_t block) const {
  return static_cast<std::size_t>(std::ranges::upper_bound(first_blocks_, block) - first_blocks_.begin() - 1);
}

void BlockReader::read(std::int64_t block, std::span<std::byte> into) {
  const std::size_t index = table_.file_of(block);
  const ManifestFile& listed = table_.manifest().files[index];
  if (!file_ || file_index_ != index) {
    file_.emplace((std::filesystem::path(folder_) / listed.name).string());
    file_index_ = index;
  }
  const auto in_file = static_cast<std::size_t>(block - table_.first_block_of(listed.name));
  const std::uint64_t begin = in_file * kBlockBytes;
  file_->read(begin, into);
  ++num_blocks_read_;
  if (hash_bytes(into).hex() == listed.blocks[in_file]) return;
  throw InputError(fmt::format("{}: bytes {} to {} do not fit their checksum: the file is damaged in {}", file_->path(),
                               begin, begin + into.size(),
                               contents_of(table_.manifest(), listed.name, begin, begin + into.size())));
}

void BlockReader::expect(std::int64_t block) const {
  if (!file_ || table_.file_of(block) != file_index_) return;
  const std::int64_t in_file = block - table_.first_block_of(table_.manifest().files[file_index_].name);
  file_->expect(static_cast<std::uint64_t>(in_file) * kBlockBytes, kBlockBytes);
}

void verify_blocks(const std::string& folder, const BlockTable& table) {
  std::atomic<std::int64_t> lowest = table.num_blocks();
  std::exception_ptr damage;
  std::mutex mutex;
  at::parallel_for(0, table.num_blocks(), 1, [&](std::int64_t begin, std::int64_t end) {
    BlockReader reader(folder, table);
    std::vector<std::byte> bytes(kBlockBytes);
    for (std::int64_t block = begin; block < end && block < lowest; ++block) {
      try {
        reader.read(block,
                    std::span(bytes).first(static_cast<std::size_t>(table.bytes()[static_cast<std::size_t>(block)])));
      } catch (const InputError&) {
        const std::scoped_lock lock(mutex);
        if (block > lowest) return;
        lowest = block;
        damage = std::current_exception();
        return;
      }
    }
  });
  if (damage) std::rethrow_exception(damage);
}

}  // namespace collimate::detail
