#include "collimate/train/train_step.hpp"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/reduce_metrics.hpp"
#include "collimate/model/cost.hpp"
#include "collimate/optim/gradient.hpp"
#include "step_checks.hpp"

namespace collimate {

namespace {

double flops_of(const ModelSpec& spec, const MicroBatch& microbatch) {
  const MicroBatchCounts counts = count_microbatch(microbatch, spec.sliding_window);
  return forward_flops(spec, {.num_tokens = counts.num_stream_tokens,
                              .num_labelled_rows = counts.num_labelled_rows,
                              .num_attended_keys = counts.num_attended_keys,
                              .num_windowed_keys = counts.num_windowed_keys})
      .total();
}

}  // namespace

StepOutcome TrainStep::run(const StepOrder& order) {
  policy_.parameters().zero_gradients();
  const BatchPlan plan = source_.plan(order.pair_indices);
  StepOutcome outcome = agree(order, forward_backward(order, plan));
  outcome.num_stream_tokens = plan.num_stream_tokens;
  outcome.grad_norm = reduce_and_clip(order);
  policy_.update(order.learning_rate);
  return outcome;
}

TrainStep::LocalResult TrainStep::forward_backward(const StepOrder& order, const BatchPlan& plan) {
  LocalResult result{.metrics = MetricValues(objective_.metric_names().size(), 0.0), .forward_flops = 0.0, .fault = {}};
  for (const auto& pairs : plan.microbatches) {
    add_microbatch(order, plan, pairs, result);
    if (!result.fault.empty()) return result;
  }
  if (!is_finite(policy_.parameters().gradients())) {
    std::vector<std::uint64_t> own;
    for (const auto& pairs : plan.microbatches) own.insert(own.end(), pairs.begin(), pairs.end());
    result.fault = fmt::format("a gradient is not finite after {}", detail::describe_pairs(own, source_.dataset()));
  }
  return result;
}

void TrainStep::add_microbatch(const StepOrder& order, const BatchPlan& plan, std::span<const std::uint64_t> pairs,
                               LocalResult& result) {
  const MicroBatch microbatch = source_.read(pairs);
  const Stage& stage = policy_.stage();
  const PairBatch batch =
      pair_batch(forward_log_probs(stage, microbatch), microbatch, source_.layout(), source_.dataset(), reference_);
  const ObjectiveShare share = objective_.share(batch, plan.totals);
  auto fault = detail::find_non_finite(batch, share.metrics.front(), pairs, source_.dataset());
  if (!fault && order.check_against_reference) {
    const bool is_float64 = stage.head_weight().scalar_type() == at::kDouble;
    fault = detail::find_reference_mismatch(batch, is_float64, pairs, source_.dataset());
  }
  if (fault) {
    result.fault = *fault;
    return;
  }
  share.loss.backward();
  for (std::size_t i = 0; i < share.metrics.size(); ++i) result.metrics[i] += share.metrics[i];
  result.forward_flops += flops_of(stage.spec(), microbatch);
}

StepOutcome TrainStep::agree(const StepOrder& order, const LocalResult& local) {
  // A fault on one rank must stop all of them before any enters the gradients' reduction.
  std::vector<double> values = local.metrics;
  values.push_back(local.forward_flops);
  values.push_back(order.stop_requested ? 1.0 : 0.0);
  values.push_back(local.fault.empty() ? 0.0 : 1.0);
  reduce_metrics(values, data_);
  if (values.back() > 0.0) {
    run_agreed(data_, [&] {
      if (!local.fault.empty()) throw Error(fmt::format("step {}: {}", order.step, local.fault));
    });
  }
  const std::size_t num_metrics = local.metrics.size();
  StepOutcome outcome;
  outcome.metrics.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(num_metrics));
  outcome.forward_flops = values[num_metrics];
  outcome.stop_requested = values[num_metrics + 1] > 0.0;
  return outcome;
}

double TrainStep::reduce_and_clip(const StepOrder& order) {
  at::Tensor& gradients = policy_.parameters().gradients();
  reduce_gradients(gradients, data_);
  const double norm = global_norm(gradients);
  if (!std::isfinite(norm)) {
    throw AgreedError(
        fmt::format("step {}: the sum of all ranks' gradients is not finite, though each rank's own is", order.step),
        ExitCode::kFailure);
  }
  clip_gradients(gradients, norm, order.max_grad_norm);
  return norm;
}

}  // namespace collimate
