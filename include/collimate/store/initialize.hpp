#pragma once
// Random initial weights from a config.json alone, by Hugging Face's convention: matrices normal(0, initializer_range),
// norms one, biases zero. Each value is a function of (init_seed, tensor name, place in the tensor): the same for any
// number of threads and any layout.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collimate/store/model_source.hpp"

namespace collimate {

/// Weights that are computed when asked for, as float32 and converted from there.
class RandomWeights final : public ModelSource {
 public:
  /// *Local.* Throws InputError when the config file is wrong.
  RandomWeights(std::string config_path, std::uint64_t init_seed);

  [[nodiscard]] const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  [[nodiscard]] at::Tensor load(const std::string& name, at::ScalarType dtype) const override;
  /// Made anew, as by `load`.
  [[nodiscard]] at::Tensor borrow(const std::string& name) const override { return load(name, at::kFloat); }
  [[nodiscard]] std::vector<Hash128> tensor_hashes(std::span<const std::size_t> chosen) const override;
  [[nodiscard]] std::vector<std::string> companions() const override;

 private:
  std::uint64_t init_seed_;
  std::vector<TensorInfo> tensors_;
};

}  // namespace collimate
