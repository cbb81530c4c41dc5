#pragma once
// Rotary position embedding (Su et al., 2021), bit for bit the tables of transformers: frequencies, angles, cosines and
// sines in float32 whatever the model's dtype, then cast to it.

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "collimate/model/spec.hpp"

namespace collimate {

/// Inverse frequencies [head_dim / 2], float32, on the CPU.
at::Tensor rope_inverse_frequencies(const RopeSpec& rope, std::int64_t head_dim);

/// Cosines and sines of a stream's positions, each [num_tokens, head_dim / 2]: the halves of a head rotate together.
struct RopeTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// The table of `positions` in `dtype`, on the device of `inverse_frequencies`.
RopeTable rope_table(const at::Tensor& inverse_frequencies, std::span<const std::int64_t> positions,
                     at::ScalarType dtype);

/// Rotates each head of `x` [num_tokens, num_heads * head_dim] in place and returns it. Differentiable: `x` must be a
/// contiguous tensor of its own (no view) that no earlier operation saved for its backward pass.
at::Tensor apply_rope(at::Tensor x, const RopeTable& table);

}  // namespace collimate
