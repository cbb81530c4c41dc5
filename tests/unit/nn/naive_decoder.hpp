#pragma once
// A decoder written for clarity only: one response at a time, dense masks, full logits, plain autograd. The twin that
// the packed decoder must equal.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/data/pair.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/nn/parameter.hpp"

namespace collimate::test {

class NaiveDecoder {
 public:
  /// Shares the parameters' values, as leaves of its own.
  NaiveDecoder(const ModelSpec& spec, std::span<const Parameter> parameters);

  /// Log-prob of each token of `sequence` from index `first` on, given those before it.
  [[nodiscard]] at::Tensor log_probs(const std::vector<std::int64_t>& sequence, std::int64_t first) const;

  /// Sums over the labelled tokens of each response, [chosen, rejected] of each pair.
  [[nodiscard]] at::Tensor response_sums(const std::vector<PairTokens>& pairs) const;

  [[nodiscard]] const at::Tensor& parameter(const std::string& name) const { return parameters_.at(name); }

 private:
  [[nodiscard]] at::Tensor hidden_states(const std::vector<std::int64_t>& sequence) const;
  [[nodiscard]] at::Tensor linear(const at::Tensor& x, const std::string& name) const;
  [[nodiscard]] at::Tensor norm(const at::Tensor& x, const std::string& name) const;
  [[nodiscard]] at::Tensor attend(const at::Tensor& x, std::int64_t layer_index) const;

  ModelSpec spec_;
  std::map<std::string, at::Tensor> parameters_;
};

}  // namespace collimate::test
