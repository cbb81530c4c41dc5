#pragma once
// Parameter count and forward matrix-multiplication FLOPs, from the specification alone. `mfu` and the planner use
// them.

#include <cstdint>

#include "collimate/model/spec.hpp"

namespace collimate {

/// What a packed stream asks the model to compute.
struct StreamCounts {
  std::int64_t num_tokens = 0;         ///< Rows of every linear layer.
  std::int64_t num_labelled_rows = 0;  ///< Rows of the head.
  std::int64_t num_attended_keys = 0;  ///< (query, visible key) pairs of one layer with full causal attention.
  std::int64_t num_windowed_keys = 0;  ///< The same for a layer with the model's sliding window.
};

/// Forward FLOPs by place (a multiply and an add are two). Only real work: no padding, no masked keys, no
/// recomputation.
struct ForwardFlops {
  double projections = 0;  ///< GEMMs of all layers.
  double attention = 0;    ///< q k^T and p v over visible keys.
  double head = 0;         ///< Labelled rows only.

  [[nodiscard]] double total() const { return projections + attention + head; }
};

/// Elements of all stored parameters; tied embeddings count once.
std::int64_t num_parameters(const ModelSpec& spec);

/// FLOPs of the forward pass over one stream.
ForwardFlops forward_flops(const ModelSpec& spec, const StreamCounts& stream);

}  // namespace collimate
