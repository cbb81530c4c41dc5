#pragma once
// Section `objective` of the configuration: which losses are minimized, and their parameters.

#include <vector>

#include "collimate/config/fields.hpp"

namespace collimate {

enum class LossType { kSigmoid, kSft };

template <>
inline constexpr auto enum_names<LossType> =
    std::to_array<EnumName<LossType>>({{LossType::kSigmoid, "sigmoid"}, {LossType::kSft, "sft"}});

/// What a loss reads beside the policy's log-probs of the chosen responses.
struct LossNeeds {
  bool reference = false;  ///< the reference's log-probs of the same responses
  bool rejected = false;   ///< log-probs of the rejected responses: what makes it a preference loss
  bool operator==(const LossNeeds&) const = default;
};

constexpr LossNeeds loss_needs(LossType type) {
  switch (type) {
    case LossType::kSigmoid:
      return {.reference = true, .rejected = true};
    case LossType::kSft:
      return {};
  }
  return {};
}

struct ObjectiveConfig {
  std::vector<LossType> loss_type = {LossType::kSigmoid};
  std::vector<double> loss_weights = {1.0};  ///< one for each loss_type
  double beta = 0.1;                         ///< strength of the tie to the reference
  double label_smoothing = 0.0;              ///< share of labels taken to be flipped (cDPO)

  bool operator==(const ObjectiveConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{
        field("loss_type", &ObjectiveConfig::loss_type, Role::kIdentity),
        field("loss_weights", &ObjectiveConfig::loss_weights, Role::kIdentity, above(0)),
        field("beta", &ObjectiveConfig::beta, Role::kIdentity, above(0)),
        field("label_smoothing", &ObjectiveConfig::label_smoothing, Role::kIdentity, from_to_below(0, 0.5))};
  }
};

/// What the configured losses need together.
inline LossNeeds loss_needs(const ObjectiveConfig& config) {
  LossNeeds needs;
  for (const LossType type : config.loss_type) {
    needs.reference = needs.reference || loss_needs(type).reference;
    needs.rejected = needs.rejected || loss_needs(type).rejected;
  }
  return needs;
}

}  // namespace collimate
