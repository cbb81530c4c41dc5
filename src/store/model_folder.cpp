#include "collimate/store/model_folder.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "byte_shares.hpp"
#include "collimate/base/error.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "companion_files.hpp"
#include "fit_weights.hpp"
#include "model_place.hpp"
#include "tensor_bytes.hpp"
#include "weight_files.hpp"

namespace collimate {

ModelFolder ModelFolder::open(const std::string& path) {
  ModelFolder folder(path);
  folder.list_tensors();
  folder.settle_head();
  return folder;
}

ModelFolder::ModelFolder(const std::string& path) : ModelSource(detail::require_model_place(path)), path_(path) {
  detail::WeightFiles weights = detail::open_weight_files(path);
  views_ = detail::fit_weights(spec(), path, weights);
  files_ = std::move(weights.files);
  if (weights.unread.empty()) return;
  add_remark(fmt::format("{}: not read, since {} has the weights: {}", path,
                         weights.index.empty() ? detail::kSingleFileName : detail::kIndexFileName,
                         fmt::join(weights.unread, ", ")));
}

void ModelFolder::list_tensors() {
  tensors_.clear();
  for (const LogicalTensor& tensor : logical_tensors(spec())) {
    tensors_.push_back(static_cast<const TensorInfo&>(view(tensor.name)));
  }
}

// A fingerprint without the head, cached for these very files, is from a job that has found the two equal.
void ModelFolder::settle_head() {
  const auto head = views_.find(kHeadName);
  if (!spec().tie_word_embeddings || head == views_.end() || fingerprint_cache()->find()) return;
  if (detail::have_equal_values(head->second, view(kEmbeddingName))) return;
  untie_head();
  list_tensors();
  add_remark(
      fmt::format("{}: tie_word_embeddings: true, but the weights have an {} unlike {}: it is a head of its own, as in "
                  "transformers 5 (transformers 4 ties it); set tie_word_embeddings to false if that is meant",
                  config_path(), kHeadName, kEmbeddingName));
}

const TensorView& ModelFolder::view(const std::string& name) const {
  const auto found = views_.find(name);
  check(found != views_.end(), fmt::format("the model has a tensor '{}'", name));
  return found->second;
}

std::uint64_t ModelFolder::num_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorInfo& tensor : tensors_) bytes += tensor.num_bytes();
  return bytes;
}

at::Tensor ModelFolder::load(const std::string& name, at::ScalarType dtype) const {
  return detail::copy_of(view(name)).to(dtype);
}

at::Tensor ModelFolder::borrow(const std::string& name) const { return detail::tensor_on(view(name)); }

std::vector<Hash128> ModelFolder::tensor_hashes(std::span<const std::size_t> chosen) const {
  const int num_threads = at::get_num_threads();
  const auto shares = detail::byte_shares(tensors_, chosen, num_threads);
  std::vector<Hash128> hashes(chosen.size());
  at::parallel_for(0, num_threads, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t share = begin; share < end; ++share) {
      for (const std::size_t i : shares[static_cast<std::size_t>(share)]) {
        hashes[i] = hash_bytes(view(tensors_[chosen[i]].name).bytes);
      }
    }
  });
  return hashes;
}

std::optional<FingerprintCache> ModelFolder::fingerprint_cache() const {
  std::vector<WeightFile> files;
  for (const SafetensorsFile& file : files_) files.push_back({.path = file.path(), .state = file.state()});
  return FingerprintCache(path_, tensor_list_hash().hex(), std::move(files));
}

std::vector<std::string> ModelFolder::companions() const { return detail::companion_files(path_); }

}  // namespace collimate
