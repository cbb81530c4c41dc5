#include "collimate/engine/evaluator.hpp"

#include <chrono>
#include <cmath>
#include <functional>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/engine/reduce_metrics.hpp"

namespace collimate {

Evaluator::Evaluator(const BatchSource& source, const Objective& objective, const ReferenceStore* reference,
                     Communicator& world, std::int64_t eval_batch_size)
    : source_(source), objective_(objective), reference_(reference), world_(world), eval_batch_size_(eval_batch_size) {}

EvaluationReport Evaluator::evaluate(ModelPass& pass) const {
  return std::get<EvaluationReport>(evaluate(pass, nullptr, [] {}));
}

std::variant<EvaluationReport, StopKind> Evaluator::evaluate(ModelPass& pass, JobStop* stop,
                                                             const std::function<void()>& before_result) const {
  const at::NoGradGuard no_grad;
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t num_pairs = source_.dataset().size();
  note_work(world_.activity(), "planning the evaluation");
  std::vector<BatchPlan> plans;
  BatchTotals totals;
  for (std::int64_t i = 0; i < num_evaluation_batches(num_pairs, eval_batch_size_); ++i) {
    plans.push_back(source_.plan(evaluation_batch(num_pairs, eval_batch_size_, i)));
    totals.weight += plans.back().totals.weight;
    totals.labelled_chosen_tokens += plans.back().totals.labelled_chosen_tokens;
  }
  MetricValues sums(objective_.metrics().size(), 0.0);
  StopPoll poll(stop == nullptr ? StopPoll::Ask() : [stop] { return stop->own(); }, world_, at::kCPU);
  for (const BatchPlan& plan : plans) {
    if (const StopKind kind = poll.next(); kind != StopKind::kNone) return kind;
    add_batch(pass, plan, totals, sums);
  }
  before_result();
  reduce_metrics(sums, world_);
  if (!std::isfinite(sums.front())) throw Error("the evaluation loss is not finite");

  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  EvaluationReport report;
  report.metrics = named_metrics(objective_, sums, totals, "eval_");
  report.timing.emplace_back("eval_seconds", elapsed.count());
  report.timing.emplace_back("eval_pairs_per_second", static_cast<double>(num_pairs) / elapsed.count());
  return report;
}

void Evaluator::add_batch(ModelPass& pass, const BatchPlan& plan, const BatchTotals& totals, MetricValues& sums) const {
  note_work(world_.activity(), "reading pairs for the evaluation");
  const std::vector<MicroBatch> microbatches = source_.read_all(plan);
  pass.evaluate(microbatches, [&](std::size_t index, const ResponseLogProbs& log_probs) {
    if (!pass.is_speaker()) return at::Tensor();
    const PairBatch batch = pair_batch(log_probs, microbatches[index], source_.layout(), source_.dataset(), reference_);
    const MetricValues share = objective_.share(batch, totals).metrics;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += share[i];
    return at::Tensor();
  });
}

}  // namespace collimate
