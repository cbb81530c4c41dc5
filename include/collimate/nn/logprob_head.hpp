#pragma once
// The log-prob head: from hidden states to log-probs of labelled tokens only, in chunks of rows. The full logits never
// exist; the backward pass computes each chunk's logits again.

#include <cstdint>
#include <span>

#include <ATen/core/Tensor.h>

#include "collimate/data/microbatch.hpp"

namespace collimate {

struct LogProbHeadOptions {
  std::int64_t chunk_bytes = std::int64_t{16} << 20;  ///< Bound on the logits that exist at a time; at least one row.
};

struct ResponseLogProbs {
  at::Tensor sums;    ///< float64 [num_responses], differentiable: sum of the log-probs of each response's labels.
  at::Tensor tokens;  ///< float64 [rows], without gradient: log-prob of each labelled row, in the order given.
};

/// `hidden` is [num_tokens, hidden_size], `weight` [vocab_size, hidden_size]. A row may occur several times (the last
/// row of a shared prompt predicts two labels). Log-softmax is taken in float32 or better, sums in float64.
/// Deterministic for a given chunk size and thread count. Throws InvariantError for a row, label or response out of
/// range. *Local.*
ResponseLogProbs response_log_probs(const at::Tensor& hidden, const at::Tensor& weight,
                                    std::span<const LabelledRow> rows, std::int64_t num_responses,
                                    const LogProbHeadOptions& options = {});

}  // namespace collimate
