#include "collimate/objective/loss.hpp"

#include <algorithm>
#include <array>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/log_sigmoid.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7) with soft labels: z = beta ((pi_w - ref_w) - (pi_l - ref_l)),
// loss = -p log s(z) - (1 - p) log s(-z). label_smoothing e flips a label with probability e, as in cDPO (Mitchell
// 2023): p' = p (1 - e) + (1 - p) e.
at::Tensor sigmoid_loss(const PairBatch& pairs, const ObjectiveConfig& config) {
  const at::Tensor chosen_ratio = pairs.policy_chosen - pairs.reference_chosen;
  const at::Tensor rejected_ratio = pairs.policy_rejected - pairs.reference_rejected;
  const at::Tensor z = config.beta * (chosen_ratio - rejected_ratio);
  const double smoothing = config.label_smoothing;
  const at::Tensor p = pairs.label * (1.0 - smoothing) + (1.0 - pairs.label) * smoothing;
  return -(p * at::log_sigmoid(z) + (1.0 - p) * at::log_sigmoid(-z));
}

// Negative log-likelihood of the chosen response; its normalizer makes the sum a mean over labelled tokens.
at::Tensor sft_loss(const PairBatch& pairs, const ObjectiveConfig& /*config*/) { return -pairs.policy_chosen; }

constexpr std::array kLossTable{
    LossRow{LossType::kSigmoid, Normalizer::kPairWeight, sigmoid_loss},
    LossRow{LossType::kSft, Normalizer::kLabelledChosenTokens, sft_loss},
};

}  // namespace

std::span<const LossRow> loss_table() { return kLossTable; }

const LossRow& loss_row(LossType type) {
  const auto* row = std::ranges::find(kLossTable, type, &LossRow::type);
  check(row != kLossTable.end(), "every loss type has a row in the table of losses");
  return *row;
}

}  // namespace collimate
