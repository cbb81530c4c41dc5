#include "step_checks.hpp"

#include <cmath>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/isfinite.h>
#include <fmt/format.h>

namespace collimate::detail {

namespace {

constexpr std::size_t kShownPairs = 4;

struct Response {
  const char* name;
  double policy;
  double reference;
  std::int64_t num_labelled_tokens;
};

std::optional<std::string> mismatch(const Response& response, double tolerance) {
  const double bound = tolerance * std::sqrt(static_cast<double>(response.num_labelled_tokens));
  const double difference = std::abs(response.policy - response.reference);
  if (difference <= bound) return std::nullopt;
  return fmt::format(
      "the {} response has log-prob {:.9g} by the policy but {:.9g} in the reference store, although both have the "
      "same "
      "weights (they differ by {:.3g}, more than the {:.3g} that rounding explains)",
      response.name, response.policy, response.reference, difference, bound);
}

}  // namespace

std::string describe_pairs(std::span<const std::uint64_t> pairs, const PreferenceDataset& dataset) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kShownPairs, pairs.size()); ++i) {
    text += (i == 0 ? "" : "; ") + dataset.describe_pair(pairs[i]);
  }
  if (pairs.size() > kShownPairs) text += fmt::format("; and {} more", pairs.size() - kShownPairs);
  return text;
}

std::optional<std::string> find_non_finite(const PairBatch& batch, double loss, std::span<const std::uint64_t> pairs,
                                           const PreferenceDataset& dataset) {
  if (std::isfinite(loss)) return std::nullopt;
  at::Tensor log_probs = batch.policy_chosen.detach();
  if (batch.policy_rejected.defined()) log_probs = log_probs + batch.policy_rejected.detach();
  const at::Tensor finite = at::isfinite(log_probs);
  std::vector<std::uint64_t> culprits;
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (!finite[static_cast<std::int64_t>(i)].item<bool>()) culprits.push_back(pairs[i]);
  }
  const auto shown = culprits.empty() ? pairs : std::span<const std::uint64_t>(culprits);
  return fmt::format("the loss is not finite ({}) at {}", loss, describe_pairs(shown, dataset));
}

std::optional<std::string> find_reference_mismatch(const PairBatch& batch, double tolerance,
                                                   std::span<const std::uint64_t> pairs,
                                                   const PreferenceDataset& dataset) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    const auto at_pair = [&](const at::Tensor& values) { return values[static_cast<std::int64_t>(i)].item<double>(); };
    const PairLengths lengths = dataset.lengths(pairs[i]);
    const Response chosen{"chosen", at_pair(batch.policy_chosen.detach()), at_pair(batch.reference_chosen),
                          lengths.num_labelled_chosen_tokens};
    const Response rejected{"rejected", at_pair(batch.policy_rejected.detach()), at_pair(batch.reference_rejected),
                            lengths.num_labelled_rejected_tokens};
    for (const Response& response : {chosen, rejected}) {
      if (const auto found = mismatch(response, tolerance)) {
        return fmt::format("{}: {}", dataset.describe_pair(pairs[i]), *found);
      }
    }
  }
  return std::nullopt;
}

}  // namespace collimate::detail
