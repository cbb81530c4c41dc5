#include "collimate/store/initialize.hpp"

#include <filesystem>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "companion_files.hpp"
#include "tensor_bytes.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

void fill_normal(at::Tensor& tensor, const RandomStream& stream, double deviation) {
  constexpr std::int64_t kGrain = 4096;
  float* const values = tensor.mutable_data_ptr<float>();
  at::parallel_for(0, tensor.numel(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      values[i] = static_cast<float>(deviation * stream.normal(static_cast<std::uint64_t>(i)));
    }
  });
}

const TensorInfo& info_named(const std::vector<TensorInfo>& tensors, const std::string& name) {
  for (const TensorInfo& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  throw InvariantError("the model has no tensor '" + name + "'");
}

}  // namespace

RandomWeights::RandomWeights(std::string config_path, std::uint64_t init_seed)
    : ModelSource(std::move(config_path)), init_seed_(init_seed) {
  for (const LogicalTensor& tensor : logical_tensors(spec())) {
    tensors_.push_back({.name = tensor.name, .dtype = StorageDtype::kF32, .shape = tensor.shape});
  }
}

at::Tensor RandomWeights::load(const std::string& name, at::ScalarType dtype) const {
  const TensorInfo& info = info_named(tensors_, name);
  at::Tensor tensor = at::zeros(info.shape, at::kFloat);
  // One dim: a norm's weight or a bias; nothing else has fewer than two.
  if (info.shape.size() >= 2) {
    fill_normal(tensor, RandomStream(init_seed_, name), spec().initializer_range);
  } else if (!name.ends_with(".bias")) {
    tensor.fill_(1.0);
  }
  return tensor.to(dtype);
}

// One after the other: each is made with all threads, and only one is in memory.
std::vector<Hash128> RandomWeights::tensor_hashes(std::span<const std::size_t> chosen) const {
  std::vector<Hash128> hashes;
  for (const std::size_t i : chosen) hashes.push_back(hash_bytes(detail::bytes_of(load(tensors_[i].name, at::kFloat))));
  return hashes;
}

// Other files beside a lone config file need not belong to it.
std::vector<std::string> RandomWeights::companions() const {
  return detail::tokenizer_files(fs::absolute(config_path()).parent_path().string());
}

}  // namespace collimate
