#pragma once
// Parameter count and forward matrix-multiplication FLOPs, from the specification alone. `mfu` and the planner use
// them.

#include <cstdint>
#include <optional>
#include <span>

#include "collimate/model/spec.hpp"

namespace collimate {

/// A run of consecutive tokens in a packed stream that attend causally to themselves and to all positions before them:
/// `first_position` is 0 for a plain sequence, the prompt's length for a response that shares its prompt.
struct AttentionRun {
  std::int64_t first_position = 0;
  std::int64_t length = 0;
};

/// What a packed stream asks the model to compute.
struct StreamShape {
  std::int64_t num_tokens = 0;
  std::int64_t num_labelled_rows = 0;
  std::span<const AttentionRun> runs;  ///< Not owned.
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

/// Number of (query, visible key) pairs of a run: the sum over its positions p of min(p + 1, window).
std::int64_t num_visible_keys(const AttentionRun& run, std::optional<std::int64_t> window);

/// FLOPs of the forward pass over one stream.
ForwardFlops forward_flops(const ModelSpec& spec, const StreamShape& stream);

}  // namespace collimate
