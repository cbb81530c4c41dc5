#include "collimate/store/checkpoint.hpp"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "manifest.hpp"
#include "piece_file.hpp"
#include "tensor_bytes.hpp"

namespace collimate {

struct Checkpoint::Content {
  std::string path;
  detail::Manifest manifest;
  std::map<std::pair<std::string, std::string>, std::size_t> index;  // (group, name) -> tensor
  std::map<std::string, detail::PieceFile> files;                    // those that are open

  const detail::PieceFile& open_file(const std::string& name) {
    const auto found = files.find(name);
    if (found != files.end()) return found->second;
    const auto listed = std::ranges::find(manifest.files, name, &detail::ManifestFile::name);
    if (listed == manifest.files.end()) {
      throw InputError(fmt::format("{}: the manifest lists no file '{}', which has a piece", path, name));
    }
    return files.emplace(name, detail::PieceFile(path, *listed)).first->second;
  }
  [[nodiscard]] const detail::ManifestTensor& find(const std::string& group, const std::string& name) const {
    const auto found = index.find({group, name});
    if (found == index.end())
      throw InputError(fmt::format("{}: the checkpoint has no '{}' of '{}'", path, name, group));
    return manifest.tensors[found->second];
  }
};

Checkpoint::Checkpoint(std::unique_ptr<Content> content) : content_(std::move(content)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint Checkpoint::open(const std::string& path) {
  auto content = std::make_unique<Content>();
  content->path = path;
  content->manifest = detail::read_manifest(path);
  for (std::size_t i = 0; i < content->manifest.tensors.size(); ++i) {
    const detail::ManifestTensor& tensor = content->manifest.tensors[i];
    content->index.emplace(std::pair(tensor.group, tensor.info.name), i);
  }
  return Checkpoint(std::move(content));
}

const std::string& Checkpoint::path() const { return content_->path; }
const CheckpointState& Checkpoint::state() const { return content_->manifest.state; }

std::vector<std::string> Checkpoint::group_names() const {
  std::set<std::string> names;
  for (const detail::ManifestTensor& tensor : content_->manifest.tensors) names.insert(tensor.group);
  return {names.begin(), names.end()};
}

std::vector<TensorInfo> Checkpoint::tensors(const std::string& group) const {
  std::vector<TensorInfo> tensors;
  for (const detail::ManifestTensor& tensor : content_->manifest.tensors) {
    if (tensor.group == group) tensors.push_back(tensor.info);
  }
  if (tensors.empty()) throw InputError(fmt::format("{}: the checkpoint has no tensors '{}'", path(), group));
  return tensors;
}

const std::vector<std::int64_t>& Checkpoint::shape_of(const std::string& group, const std::string& name) const {
  return content_->find(group, name).info.shape;
}

at::Tensor Checkpoint::load(const std::string& group, const std::string& name) const {
  const std::vector<std::int64_t>& shape = shape_of(group, name);
  return load_piece(group, name, whole_piece(shape)).view(shape);
}

at::Tensor Checkpoint::load_piece(const std::string& group, const std::string& name, const TensorPiece& piece) const {
  const detail::ManifestTensor& tensor = content_->find(group, name);
  std::vector<TensorPiece> saved;
  for (const detail::ManifestPiece& each : tensor.pieces) saved.push_back(each.piece);
  at::Tensor value = at::empty({piece.flat.length}, detail::scalar_type_of(tensor.info.dtype));
  const auto element = static_cast<std::int64_t>(element_bytes(tensor.info.dtype));
  const std::string key = group + "/" + name;
  std::int64_t num_found = 0;
  for (const PieceCopy& copy : reshard(tensor.info.shape, saved, piece)) {
    const detail::PieceFile& file = content_->open_file(tensor.pieces[copy.saved].file);
    const auto bytes = file.read(key, static_cast<std::uint64_t>(copy.from * element),
                                 static_cast<std::uint64_t>(copy.length * element));
    std::memcpy(static_cast<std::byte*>(value.data_ptr()) + copy.to * element, bytes.data(), bytes.size());
    num_found += copy.length;
  }
  if (num_found != piece.flat.length) {
    throw InputError(fmt::format("{}: the pieces of '{}' of '{}' overlap: {} of {} elements were found", path(), name,
                                 group, num_found, piece.flat.length));
  }
  return value;
}

void Checkpoint::verify(int share, int num_shares) const {
  std::size_t number = 0;
  for (const detail::ManifestFile& listed : content_->manifest.files) {
    const detail::PieceFile& file = content_->open_file(listed.name);
    for (std::size_t block = 0; block < file.num_blocks(); ++block, ++number) {
      if (number % static_cast<std::size_t>(num_shares) == static_cast<std::size_t>(share)) file.verify_block(block);
    }
  }
}

Checkpoint open_verified(const std::string& path, Communicator& world) {
  return make_agreed(world, [&] {
    Checkpoint checkpoint = Checkpoint::open(path);
    checkpoint.verify(world.rank(), world.size());
    return checkpoint;
  });
}

}  // namespace collimate
