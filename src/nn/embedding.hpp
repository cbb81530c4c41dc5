#pragma once
// Rows of a table.

#include <ATen/core/Tensor.h>

namespace collimate {

/// Rows `index` (int64 [rows]) of `table` [vocabulary, size]. Differentiable in the table; the gradients of a row that
/// is looked up many times add up in wide_dtype.
at::Tensor look_up(const at::Tensor& table, const at::Tensor& index);

}  // namespace collimate
