#pragma once
// Weight gradients apart from input gradients: a backward pass may leave the products of weight gradients for later, to
// fill what would be a bubble in the pipeline (Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024).

#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/nn/linear_input.hpp"
#include "collimate/nn/parameter_keeper.hpp"

namespace collimate {

/// Takes the products of weight gradients: keeps them while a backward pass defers them and computes them when it is
/// told to, or else hands them to the parameters' keeper at once, without a copy by autograd on the way. Used by one
/// thread at a time. *Local.*
class WeightGradientQueue {
 public:
  /// What is left for later is kept under (stage, microbatch).
  using Key = std::pair<int, int>;

  /// From now on layers leave their products here, under `key`, instead of computing them.
  void defer(Key key) {
    key_ = key;
    is_deferring_ = true;
  }
  /// From now on layers compute their products themselves again.
  void stop_deferring() { is_deferring_ = false; }

  /// Whether take() may be called: while it defers, or when there is a keeper.
  [[nodiscard]] bool takes_products() const { return is_deferring_ || keeper_ != nullptr; }
  /// Takes grad^T x, to be added to `weight`'s gradient; `grad` is [rows, out], `x` [rows, in].
  void take(const at::Tensor& weight, const at::Tensor& grad, std::shared_ptr<KeptInput> x);

  /// Computes what was left under `key`, in the order in which it came, and lets go of its tensors.
  void run(Key key);
  [[nodiscard]] bool is_empty() const { return left_.empty(); }
  /// Gives the gradients to `keeper` from now on; not owned, null: they add up in the parameters.
  void set_keeper(ParameterKeeper* keeper) { keeper_ = keeper; }
  /// Forgets what was left, after a step that failed.
  void clear();

 private:
  struct Product {
    at::Tensor weight;
    at::Tensor grad;
    std::shared_ptr<KeptInput> x;
  };

  void add(const Product& product) const;

  ParameterKeeper* keeper_ = nullptr;
  bool is_deferring_ = false;
  Key key_{};
  std::map<Key, std::vector<Product>> left_;
};

}  // namespace collimate
