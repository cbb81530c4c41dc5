#pragma once
// Evaluation: every pair exactly once, whatever the ranks and the packing.

#include <functional>
#include <variant>

#include "collimate/comm/communicator.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/forward.hpp"
#include "collimate/engine/job_stop.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/engine/step_report.hpp"
#include "collimate/objective/objective.hpp"

namespace collimate {

/// Measures a policy on an evaluation set. Not owned: everything it is given must outlive it.
class Evaluator {
 public:
  /// `reference` may be null where the objective needs none.
  Evaluator(const BatchSource& source, const Objective& objective, const ReferenceStore* reference, Communicator& world,
            std::int64_t eval_batch_size);

  /// *Collective* over the job. Means over all pairs by weight, names prefixed with eval_; the same on every
  /// rank. Throws Error when the loss is not finite.
  [[nodiscard]] EvaluationReport evaluate(ModelPass& pass) const;
  /// *Collective* likewise. Gives up between two batches when a rank asks to stop, and says what for. `before_result`
  /// is called before this rank's sums go to the others.
  [[nodiscard]] std::variant<EvaluationReport, StopKind> evaluate(ModelPass& pass, JobStop* stop,
                                                                  const std::function<void()>& before_result) const;

 private:
  void add_batch(ModelPass& pass, const BatchPlan& plan, const BatchTotals& totals, MetricValues& sums) const;

  const BatchSource& source_;
  const Objective& objective_;
  const ReferenceStore* reference_;
  Communicator& world_;
  std::int64_t eval_batch_size_;
};

}  // namespace collimate
