#include "collimate/store/checkpoint.hpp"

#include <algorithm>
#include <filesystem>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/io/output_file.hpp"
#include "manifest.hpp"
#include "tensor_bytes.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

SafetensorsFile open_verified(const std::string& folder, const detail::ManifestFile& listed) {
  const std::string path = (fs::path(folder) / detail::group_file_name(listed.group)).string();
  // The checksum first: a damaged header then is reported as damage, not as a strange header.
  const std::string hash = hash_bytes(MappedFile(path).bytes()).hex();
  if (hash != listed.hash) {
    throw InputError(
        fmt::format("{}: checksum is {}; the manifest says {}: the file is damaged", path, hash, listed.hash));
  }
  SafetensorsFile file(path);
  const bool same = std::ranges::equal(
      file.tensors(), listed.tensors,
      [](const TensorView& view, const TensorInfo& info) { return static_cast<const TensorInfo&>(view) == info; });
  if (!same) throw InputError(fmt::format("{}: has other tensors than the manifest lists", path));
  return file;
}

detail::ManifestFile write_group(const std::string& folder, const TensorGroup& group) {
  detail::ManifestFile listed{.group = group.name, .num_bytes = 0, .hash = {}, .tensors = {}};
  for (const NamedTensor& tensor : group.tensors) {
    listed.tensors.push_back(detail::info_of(tensor.name, tensor.value));
  }
  OutputFile file(folder + "/" + detail::group_file_name(group.name));
  SafetensorsWriter writer(file, listed.tensors);
  for (const NamedTensor& tensor : group.tensors) {
    const at::Tensor value = tensor.value.detach().to(at::kCPU).contiguous();
    writer.append(detail::bytes_of(value));
  }
  writer.finish();
  file.close();
  listed.num_bytes = file.num_bytes();
  listed.hash = file.hash().hex();
  return listed;
}

}  // namespace

Checkpoint Checkpoint::open(const std::string& path) {
  detail::Manifest manifest = detail::read_manifest(path);
  Checkpoint checkpoint;
  checkpoint.path_ = path;
  for (const detail::ManifestFile& file : manifest.files) {
    checkpoint.groups_.emplace(file.group, open_verified(path, file));
  }
  checkpoint.state_ = std::move(manifest.state);
  return checkpoint;
}

std::vector<std::string> Checkpoint::group_names() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : groups_) names.push_back(name);
  return names;
}

const std::vector<TensorView>& Checkpoint::tensors(const std::string& group) const {
  const auto found = groups_.find(group);
  if (found == groups_.end()) throw InputError(fmt::format("{}: the checkpoint has no tensors '{}'", path_, group));
  return found->second.tensors();
}

at::Tensor Checkpoint::load(const std::string& group, const std::string& name) const {
  const auto found = groups_.find(group);
  const TensorView* const view = found == groups_.end() ? nullptr : found->second.find(name);
  if (view == nullptr) throw InputError(fmt::format("{}: the checkpoint has no '{}' of '{}'", path_, name, group));
  return detail::copy_of(*view);
}

void write_checkpoint(const std::string& path, const CheckpointState& state, std::span<const TensorGroup> groups) {
  detail::Manifest manifest{.state = state, .files = {}};
  for (const TensorGroup& group : groups) manifest.files.push_back(write_group(path, group));
  OutputFile file(path + "/" + detail::kManifestName);
  file.write(detail::render_manifest(manifest));
  file.close();
}

}  // namespace collimate
