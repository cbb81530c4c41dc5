#pragma once
// Small random models (tiny_spec.hpp) and pairs for tests of everything that runs a model.

#include <cstdint>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/data/pair.hpp"
#include "collimate/nn/model_shard.hpp"
#include "support/tiny_spec.hpp"

namespace collimate::test {

/// Random weights large enough that every part of the model matters; the same for every call with one seed.
inline WholeTensors random_tensors(std::uint64_t seed) {
  return [seed](const LogicalTensor& tensor) {
    at::Generator generator = at::detail::createCPUGenerator(seed ^ std::hash<std::string>()(tensor.name));
    const bool is_norm = tensor.name.find("norm") != std::string::npos;
    at::Tensor values = at::randn(tensor.shape, generator, at::TensorOptions().dtype(at::kDouble));
    return is_norm ? values.mul_(0.3).add_(1.0) : values.mul_(0.4);
  };
}
inline ParameterLoader random_weights(std::uint64_t seed) { return parts_of(random_tensors(seed)); }

/// Pairs of the given lengths with random tokens.
inline std::vector<PairTokens> random_pairs(const std::vector<PairLengths>& lengths, std::int64_t vocab_size,
                                            std::uint64_t seed) {
  at::Generator generator = at::detail::createCPUGenerator(seed);
  std::vector<PairTokens> pairs;
  for (const PairLengths& shape : lengths) {
    const at::Tensor values = at::randint(vocab_size, {shape.num_tokens()}, generator, at::kLong);
    const auto* data = values.const_data_ptr<std::int64_t>();
    PairTokens pair{.pair_index = pairs.size(), .lengths = shape, .tokens = {}};
    for (std::int64_t i = 0; i < values.numel(); ++i) pair.tokens.push_back(static_cast<std::uint32_t>(data[i]));
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

/// ||a - b|| / ||b||, the measure of design.md's layout equality.
inline double relative_difference(const at::Tensor& a, const at::Tensor& b) {
  const double norm = b.to(at::kDouble).norm().item<double>();
  const double difference = (a.to(at::kDouble) - b.to(at::kDouble)).norm().item<double>();
  return norm > 0 ? difference / norm : difference;
}

}  // namespace collimate::test
