#include "collimate/store/checkpoint.hpp"

#include <set>
#include <utility>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "block_reader.hpp"
#include "collimate/base/error.hpp"
#include "manifest.hpp"

namespace collimate {

struct Checkpoint::Content {
  std::string path;
  detail::Manifest manifest;
};

Checkpoint::Checkpoint(std::unique_ptr<Content> content) : content_(std::move(content)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Checkpoint Checkpoint::open(const std::string& path) {
  return Checkpoint(std::make_unique<Content>(path, detail::read_manifest(path)));
}

const std::string& Checkpoint::path() const { return content_->path; }
const CheckpointState& Checkpoint::state() const { return content_->manifest.state; }
const detail::Manifest& Checkpoint::manifest() const { return content_->manifest; }

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

void Checkpoint::verify() const { detail::verify_blocks(path(), detail::BlockTable(manifest())); }

}  // namespace collimate
