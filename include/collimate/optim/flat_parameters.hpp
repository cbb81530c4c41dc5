#pragma once
// All parameters of a rank in one buffer, their gradients in another: one reduction, one norm, one update, and room for
// a later shard to be a range of it.

#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

namespace collimate {

/// Moves parameters into one contiguous buffer and gives each a gradient that is a view of another one. Autograd adds
/// into those views. The parameters stay usable where they are: only their storage changes.
class FlatParameters {
 public:
  /// `parameters`: leaves of one dtype that require gradients. Their values are copied.
  explicit FlatParameters(std::span<const at::Tensor> parameters);

  [[nodiscard]] at::Tensor& values() noexcept { return values_; }
  [[nodiscard]] at::Tensor& gradients() noexcept { return gradients_; }
  [[nodiscard]] const at::Tensor& gradients() const noexcept { return gradients_; }
  [[nodiscard]] const at::Tensor& values() const noexcept { return values_; }
  /// The part of a flat tensor (of `values()`'s size) that belongs to the parameter number `index`, in its shape. A
  /// view.
  [[nodiscard]] at::Tensor part(const at::Tensor& flat, std::size_t index) const;
  /// The elements of a flat tensor that belong to the parameters [first, last). A view.
  [[nodiscard]] at::Tensor run(const at::Tensor& flat, std::size_t first, std::size_t last) const;
  [[nodiscard]] std::size_t num_parameters() const noexcept { return parameters_.size(); }

  void zero_gradients();

 private:
  std::vector<at::Tensor> parameters_;
  std::vector<std::int64_t> begins_;
  at::Tensor values_;
  at::Tensor gradients_;
};

}  // namespace collimate
