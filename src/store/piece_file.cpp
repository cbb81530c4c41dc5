#include "piece_file.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/io/block_hashes.hpp"

namespace collimate::detail {

namespace {

std::string path_in(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

std::span<const std::byte> block_of(std::span<const std::byte> bytes, std::size_t block) {
  const std::uint64_t begin = block * kBlockBytes;
  return bytes.subspan(begin, std::min<std::uint64_t>(kBlockBytes, bytes.size() - begin));
}

// Of a safetensors header, with the length that it begins with; less where the file ends before.
std::uint64_t header_bytes(std::span<const std::byte> bytes) {
  std::uint64_t length = 0;
  if (bytes.size() < sizeof(length)) return bytes.size();
  for (std::size_t i = 0; i < sizeof(length); ++i) length |= static_cast<std::uint64_t>(bytes[i]) << (8 * i);
  return sizeof(length) + std::min<std::uint64_t>(length, bytes.size() - sizeof(length));
}

// With a checksum of its own, so that damage elsewhere in its blocks can be given its tensor's name.
SafetensorsFile open_with_verified_header(const std::string& path, const ManifestFile& listed) {
  const MappedFile file(path);
  if (file.bytes().size() != listed.num_bytes ||
      listed.blocks.size() != (listed.num_bytes + kBlockBytes - 1) / kBlockBytes) {
    throw InputError(fmt::format("{}: has {} bytes; the manifest says {}, in {} blocks", path, file.bytes().size(),
                                 listed.num_bytes, listed.blocks.size()));
  }
  BlockHashes hashes;
  const std::uint64_t length = header_bytes(file.bytes());
  hashes.update(file.bytes().first(length));
  if (hex_of(hashes.digests()) != listed.header) {
    throw InputError(
        fmt::format("{}: bytes 0 to {} do not fit their checksum: the file is damaged in its header", path, length));
  }
  return SafetensorsFile(path);
}

}  // namespace

std::vector<std::string> hex_of(const std::vector<Hash128>& hashes) {
  std::vector<std::string> texts;
  for (const Hash128& hash : hashes) texts.push_back(hash.hex());
  return texts;
}

PieceFile::PieceFile(const std::string& folder, const ManifestFile& listed)
    : file_(open_with_verified_header(path_in(folder, listed.name), listed)),
      blocks_(listed.blocks),
      is_verified_(listed.blocks.size(), false) {}

std::string PieceFile::contents_of(std::size_t block) const {
  const std::byte* const begin = block_of(file_.file_bytes(), block).data();
  const std::byte* const end = begin + block_of(file_.file_bytes(), block).size();
  std::vector<std::string> names;
  for (const TensorView& tensor : file_.tensors()) {
    if (tensor.bytes.data() < end && tensor.bytes.data() + tensor.bytes.size() > begin) names.push_back(tensor.name);
  }
  constexpr std::size_t kShownNames = 3;
  const std::size_t num_more = names.size() - std::min(kShownNames, names.size());
  names.resize(names.size() - num_more);
  return fmt::format("{}{}", fmt::join(names, ", "), num_more > 0 ? fmt::format(" or {} more", num_more) : "");
}

void PieceFile::verify_block(std::size_t block) const {
  if (is_verified_[block]) return;
  const std::span<const std::byte> bytes = block_of(file_.file_bytes(), block);
  if (hash_bytes(bytes).hex() != blocks_[block]) {
    throw InputError(fmt::format("{}: bytes {} to {} do not fit their checksum: the file is damaged in {}",
                                 file_.path(), block * kBlockBytes, block * kBlockBytes + bytes.size(),
                                 contents_of(block)));
  }
  is_verified_[block] = true;
}

std::span<const std::byte> PieceFile::read(const std::string& key, std::uint64_t begin, std::uint64_t length) const {
  const TensorView* const view = file_.find(key);
  if (view == nullptr || begin > view->bytes.size() || length > view->bytes.size() - begin) {
    throw InputError(fmt::format("{}: has no bytes {} to {} of '{}', which the manifest lists", file_.path(), begin,
                                 begin + length, key));
  }
  if (length == 0) return {};
  const auto offset = static_cast<std::uint64_t>(view->bytes.data() - file_.file_bytes().data()) + begin;
  for (std::size_t block = offset / kBlockBytes; block * kBlockBytes < offset + length; ++block) verify_block(block);
  return view->bytes.subspan(begin, length);
}

}  // namespace collimate::detail
