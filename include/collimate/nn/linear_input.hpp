#pragma once
// What a linear layer's backward pass needs of its input: the input itself, or less than that and a way back to it.

#include <functional>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

namespace collimate {

/// Computes an input again from its sources, to the bit; holds no tensor. *Collective* where the first time was.
using InputFormula = std::function<at::Tensor(const std::vector<at::Tensor>& sources)>;

/// The input of linear layers, [num_tokens, in].
struct LinearInput {
  at::Tensor value;
  std::vector<at::Tensor> sources = {};  ///< Kept in place of `value` where there is a formula.
  InputFormula formula = {};
};

/// An input in a backward pass, or left by one for later.
class KeptInput {
 public:
  /// `sources`: of `formula`, or, without one, the input alone.
  KeptInput(std::vector<at::Tensor> sources, InputFormula formula)
      : sources_(std::move(sources)), formula_(std::move(formula)) {}

  /// Computes it when it is first asked for. *Local*, or as the formula.
  [[nodiscard]] const at::Tensor& value() {
    if (formula_) sources_ = {std::exchange(formula_, {})(sources_)};
    return sources_.front();
  }

 private:
  std::vector<at::Tensor> sources_;
  InputFormula formula_;
};

}  // namespace collimate
