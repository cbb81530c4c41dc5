#pragma once
// From log-probs to the training loss and the metrics of a microbatch, normalized over the global batch: whatever the
// packing or the number of ranks, the parts add up to the same loss.

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/objective/loss.hpp"

namespace collimate {

/// Denominators of the global batch, known to every rank from the plan: no rank has to ask another.
struct BatchTotals {
  double weight = 0;                  // sum of the pairs' weights
  double labelled_chosen_tokens = 0;  // sum of weight times labelled tokens of the chosen response
};

/// Which of two values of a metric is the better one.
enum class Better { kLess, kMore };

/// What a metric of the objective says.
struct Metric {
  std::string name;          // "loss"; an evaluation's has "eval_" before it
  Better better;             // how evaluations are compared by it
  bool is_pair_mean = true;  // a mean over the pairs' weights: there is none where all of them are 0
  bool operator==(const Metric&) const = default;
};

/// Values in the order of Objective::metrics(), each already divided by its denominator: summed over microbatches and
/// ranks they are the metrics of the global batch.
using MetricValues = std::vector<double>;

/// A microbatch's share.
struct ObjectiveShare {
  at::Tensor loss;  // float64 scalar, differentiable: this microbatch's share of the global batch's loss
  MetricValues metrics;
};

/// The configured mixture of losses. *Local*, stateless after construction.
class Objective {
 public:
  explicit Objective(const ObjectiveConfig& config);

  [[nodiscard]] const LossNeeds& needs() const noexcept { return needs_; }

  /// `loss` first, then `loss/<name>` for each of several losses, then `rewards/...` (with a reference) and
  /// `logps/...`.
  [[nodiscard]] const std::vector<Metric>& metrics() const noexcept { return metrics_; }

  /// Loss = sum_k w_k sum_i weight_i loss_k(i) / N_k with N_k of `totals`. Rewards are beta (log pi - log pi_ref);
  /// accuracy counts chosen > rejected strictly, as TRL does. Where N_k is 0, all weights are: losses, gradients and
  /// means over pairs are 0 then, and the means say nothing.
  [[nodiscard]] ObjectiveShare share(const PairBatch& pairs, const BatchTotals& totals) const;

 private:
  void append_rewards(const PairBatch& pairs, const BatchTotals& totals, MetricValues& metrics) const;

  ObjectiveConfig config_;
  LossNeeds needs_;
  std::vector<Metric> metrics_;
};

}  // namespace collimate
