#pragma once
// What is checked of every microbatch before its gradients may count. Each gives the reason of a fault, or nothing.

#include <optional>
#include <span>
#include <string>

#include "collimate/data/preference_dataset.hpp"
#include "collimate/objective/loss.hpp"

namespace collimate::detail {

/// The pairs whose log-probs are not finite; all of them when the loss alone is not.
std::optional<std::string> find_non_finite(const PairBatch& batch, double loss, std::span<const std::uint64_t> pairs,
                                           const PreferenceDataset& dataset);

/// The first response whose log-prob differs from the stored one by more than tolerance x sqrt(tokens).
std::optional<std::string> find_reference_mismatch(const PairBatch& batch, double tolerance,
                                                   std::span<const std::uint64_t> pairs,
                                                   const PreferenceDataset& dataset);

/// "FILE: pair 3; FILE: pair 7; and 2 more".
std::string describe_pairs(std::span<const std::uint64_t> pairs, const PreferenceDataset& dataset);

}  // namespace collimate::detail
