#pragma once
// Section `objective` of the configuration: which losses are minimized, and their parameters.

#include <vector>

#include "collimate/config/fields.hpp"

namespace collimate {

enum class LossType { kSigmoid, kSft };

template <>
inline constexpr auto enum_names<LossType> =
    std::to_array<EnumName<LossType>>({{LossType::kSigmoid, "sigmoid"}, {LossType::kSft, "sft"}});

/// Whether the loss compares the policy with a frozen reference model.
constexpr bool needs_reference(LossType type) { return type == LossType::kSigmoid; }

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

}  // namespace collimate
