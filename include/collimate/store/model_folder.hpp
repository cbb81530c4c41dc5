#pragma once
// A Hugging Face model folder: config.json and model.safetensors, or shards with model.safetensors.index.json. Opening
// it checks everything but the weights' values; writing one is export.hpp's.

#include <map>
#include <string>
#include <vector>

#include "collimate/store/model_source.hpp"

namespace collimate {

/// Weights of a folder. The files stay mapped.
class ModelFolder final : public ModelSource {
 public:
  /// *Local.* Throws InputError, which lists missing, unexpected and wrongly shaped tensors at once, or says what the
  /// folder is instead. Buffers that every program computes are passed over. As in transformers 5 the weights prevail
  /// over a tie_word_embeddings of true: an lm_head.weight unlike the embedding is a head of its own, which a remark
  /// says; an equal one is the tied copy. The two are compared in full where they are equal and no fingerprint is
  /// cached.
  static ModelFolder open(const std::string& path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Bytes of the logical tensors as stored.
  [[nodiscard]] std::uint64_t num_bytes() const;

  [[nodiscard]] const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  [[nodiscard]] at::Tensor load(const std::string& name, at::ScalarType dtype) const override;
  [[nodiscard]] at::Tensor borrow(const std::string& name) const override;
  [[nodiscard]] std::vector<Hash128> tensor_hashes(std::span<const std::size_t> chosen) const override;
  [[nodiscard]] std::optional<FingerprintCache> fingerprint_cache() const override;
  [[nodiscard]] std::vector<std::string> companions() const override;

 private:
  explicit ModelFolder(const std::string& path);

  void list_tensors();
  void settle_head();
  [[nodiscard]] const TensorView& view(const std::string& name) const;

  std::string path_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, TensorView> views_;  // by logical name
  std::vector<TensorInfo> tensors_;
};

}  // namespace collimate
