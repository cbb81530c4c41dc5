#pragma once
// The log-prob head: from hidden states to log-probs of labelled tokens only, in chunks of rows. The full logits never
// exist; the backward pass computes each chunk's logits again.

#include <cstdint>
#include <optional>
#include <span>

#include <ATen/core/Tensor.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/nn/head_chunk.hpp"
#include "collimate/nn/tensor_axis.hpp"

namespace collimate {

struct LogProbHeadOptions {
  /// Bound on the logits that exist at a time, at least one row; unset: head_chunk_bytes() of the device.
  std::optional<std::int64_t> chunk_bytes = {};
};

struct ResponseLogProbs {
  at::Tensor sums;    ///< float64 [num_responses], differentiable: sum of the log-probs of each response's labels.
  at::Tensor tokens;  ///< float64 [rows], without gradient: log-prob of each labelled row, in the order given.
};

/// The head's weight on one rank: its part of [vocab_size, hidden_size], divided by vocabulary over the tensor axis.
struct HeadShard {
  at::Tensor weight;
  std::int64_t vocab_begin = 0;
  std::int64_t vocab_size = 0;
  TensorAxis axis;
};

/// A head that is whole on one rank.
HeadShard whole_head(const at::Tensor& weight);

/// *Collective* over the tensor axis. `hidden` is this rank's rows of [num_tokens, hidden_size]. A row may occur
/// several times (the last row of a shared prompt predicts two labels). Log-softmax is taken in float32 or better, sums
/// in float64; every rank gets the same result. Memory: one chunk of logits, and two numbers a row for each rank.
/// Deterministic for a given chunk size, thread count and axis. Throws InvariantError for a row, label or response out
/// of range.
ResponseLogProbs response_log_probs(const at::Tensor& hidden, const HeadShard& head, std::span<const LabelledRow> rows,
                                    std::int64_t num_responses, const LogProbHeadOptions& options = {});

}  // namespace collimate
