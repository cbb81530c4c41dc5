// What must hold of a manifest beyond its form, so that nothing is read, or made room for, on its word alone.

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/block_hashes.hpp"
#include "collimate/io/input_file.hpp"
#include "manifest.hpp"
#include "tensor_bytes.hpp"

namespace collimate::detail {

namespace {

namespace fs = std::filesystem;

void require_files(const std::string& folder, const Manifest& manifest) {
  std::set<std::string> names;
  for (const ManifestFile& file : manifest.files) {
    if (!is_plain_file_name(file.name) || !names.insert(file.name).second) {
      throw InputError(fmt::format("{}: files: {} is not the name of one file beside the manifest",
                                   (fs::path(folder) / kManifestName).string(), nlohmann::json(file.name).dump()));
    }
    const fs::path path = fs::path(folder) / file.name;
    std::error_code failure;
    const auto num_bytes = fs::file_size(path, failure);
    if (failure) throw InputError(fmt::format("{}: {}", path.string(), failure.message()));
    if (num_bytes != file.num_bytes) {
      throw InputError(fmt::format("{}: has {} bytes; the manifest says {}", path.string(), num_bytes, file.num_bytes));
    }
  }
}

void require_checksums(const std::string& path, const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files) {
    const auto num_blocks = (file.num_bytes + kBlockBytes - 1) / kBlockBytes;
    if (file.blocks.size() == num_blocks) continue;
    throw InputError(fmt::format("{}: '{}' has {} bytes, but the checksums of {} blocks", path, file.name,
                                 file.num_bytes, file.blocks.size()));
  }
}

// A piece is read where it is said to be, without the file's own header.
void require_pieces_in_files(const std::string& path, const Manifest& manifest) {
  std::map<std::string, std::uint64_t> num_bytes;
  for (const ManifestFile& file : manifest.files) num_bytes.emplace(file.name, file.num_bytes);
  for (const ManifestTensor& tensor : manifest.tensors) {
    const std::uint64_t element = element_bytes(tensor.info.dtype);
    for (const auto& [name, offset, piece] : tensor.pieces) {
      const auto file = num_bytes.find(name);
      if (file == num_bytes.end()) {
        throw InputError(fmt::format("{}: lists no file '{}', which has a piece", path, name));
      }
      const auto elements = static_cast<std::uint64_t>(piece.flat.length);
      const bool is_inside = offset <= file->second && elements <= (file->second - offset) / element;
      if (is_inside && offset % element == 0) continue;
      throw InputError(fmt::format("{}: '{}' of '{}' cannot have {} elements at byte {} of '{}', which has {} bytes",
                                   path, tensor.info.name, tensor.group, elements, offset, name, file->second));
    }
  }
}

/// A tensor whose sizes, those beside a 0 too, have a product inside 63 bits, in a dtype that weights have.
bool is_possible(const TensorInfo& info) {
  std::int64_t product = 1;
  const bool fits = std::ranges::all_of(info.shape, [&](std::int64_t size) {
    return size >= 0 && !__builtin_mul_overflow(product, std::max<std::int64_t>(size, 1), &product);
  });
  return fits && product <= INT64_MAX / static_cast<std::int64_t>(element_bytes(info.dtype)) &&
         is_weight_dtype(info.dtype);
}

bool is_within(const ShardRange& range, std::int64_t size) {
  return range.begin >= 0 && range.length >= 0 && range.begin <= size && range.length <= size - range.begin;
}

/// Whether a piece is a run of a slice that a tensor of this shape has.
bool is_piece_of(const std::vector<std::int64_t>& shape, const TensorPiece& piece) {
  if (piece.dim < -1 || piece.dim >= std::ssize(shape)) return false;
  if (piece.dim >= 0 && !is_within(piece.part, shape[static_cast<std::size_t>(piece.dim)])) return false;
  return is_within(piece.flat, slice_piece(shape, piece.dim, piece.part).flat.length);
}

void require_tensors(const std::string& path, const Manifest& manifest) {
  const auto refuse = [&](const ManifestTensor& tensor, const std::string& what) {
    throw InputError(fmt::format("{}: '{}' of '{}' {}", path, tensor.info.name, tensor.group, what));
  };
  const ManifestTensor* before = nullptr;
  for (const ManifestTensor& tensor : manifest.tensors) {
    if (before != nullptr && manifest.find(tensor.group, tensor.info.name) == before) refuse(tensor, "is listed twice");
    before = &tensor;
    if (!is_possible(tensor.info)) {
      refuse(tensor, fmt::format("is {} of shape [{}], which no weight is", storage_dtype_name(tensor.info.dtype),
                                 fmt::join(tensor.info.shape, ", ")));
    }
    for (const auto& [file, offset, piece] : tensor.pieces) {
      if (is_piece_of(tensor.info.shape, piece)) continue;
      refuse(tensor, fmt::format("of shape [{}] has no piece of dim {}, part [{}, {}], flat [{}, {}]",
                                 fmt::join(tensor.info.shape, ", "), piece.dim, piece.part.begin, piece.part.length,
                                 piece.flat.begin, piece.flat.length));
    }
  }
}

void require_whole_tensors(const std::string& path, const Manifest& manifest) {
  for (const ManifestTensor& tensor : manifest.tensors) {
    const std::int64_t num_elements = whole_piece(tensor.info.shape).flat.length;
    std::int64_t num_left = num_elements;
    for (const ManifestPiece& piece : tensor.pieces) num_left -= std::min(num_left + 1, piece.piece.flat.length);
    if (num_left == 0) continue;
    throw InputError(fmt::format("{}: '{}' of '{}' has {} elements, but its pieces have {}", path, tensor.info.name,
                                 tensor.group, num_elements,
                                 num_left < 0 ? "more" : std::to_string(num_elements - num_left)));
  }
}

}  // namespace

void check_manifest(const std::string& folder, const Manifest& manifest) {
  const std::string path = (fs::path(folder) / kManifestName).string();
  require_files(folder, manifest);
  require_checksums(path, manifest);
  require_tensors(path, manifest);
  require_pieces_in_files(path, manifest);
  require_whole_tensors(path, manifest);
}

}  // namespace collimate::detail
