#pragma once
// The preference losses: pure tensor math on log-probs, without communication or model. A loss is one row of the table
// in loss.cpp; each row declares the inputs it needs, and everything else (the reference, the rejected responses, the
// normalizer) follows from that.

#include <span>

#include <ATen/core/Tensor.h>

#include "collimate/objective/config.hpp"

namespace collimate {

/// Summed log-probs of the labelled tokens of the pairs of one microbatch; every tensor is float64 [pairs]. What no
/// loss declared is undefined.
struct PairBatch {
  at::Tensor policy_chosen;    // differentiable
  at::Tensor policy_rejected;  // differentiable
  at::Tensor reference_chosen;
  at::Tensor reference_rejected;
  at::Tensor label;   // probability that chosen is the better one
  at::Tensor weight;  // of the pair in loss and metrics
  at::Tensor num_labelled_chosen_tokens;
};

/// What the sum over pairs is divided by; both are sums over the global batch.
enum class Normalizer { kPairWeight, kLabelledChosenTokens };

/// One row of the table of losses.
struct LossRow {
  LossType type;
  Normalizer normalizer;
  /// Loss of each pair, float64 [pairs], before weight and normalizer.
  at::Tensor (*pair_loss)(const PairBatch&, const ObjectiveConfig&);
};

/// All losses, in the order of LossType.
std::span<const LossRow> loss_table();

const LossRow& loss_row(LossType type);

}  // namespace collimate
