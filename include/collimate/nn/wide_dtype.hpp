#pragma once
// In what precision sums are taken.

#include <c10/core/ScalarType.h>

namespace collimate {

/// float32 for float32 and everything narrower, float64 for float64: statistics, gradients and the values that updates
/// are made of.
constexpr at::ScalarType wide_dtype(at::ScalarType dtype) { return dtype == at::kDouble ? at::kDouble : at::kFloat; }

}  // namespace collimate
