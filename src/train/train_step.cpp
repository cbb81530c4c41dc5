#include "collimate/train/train_step.hpp"

#include <cmath>
#include <exception>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/reduce_metrics.hpp"
#include "collimate/model/cost.hpp"
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

// How far log-probs of the same weights may differ a square root of a token: scoring may have run at another layout.
double log_prob_tolerance(at::ScalarType dtype) {
  if (dtype == at::kDouble) return 1e-12;
  return dtype == at::kBFloat16 ? 0.3 : 2e-5;
}

}  // namespace

StepOutcome TrainStep::run(const StepOrder& order) {
  if (parts_.gate != nullptr) parts_.gate->open(WorkKind::kStep);
  ActivityLog* const activity = parts_.world.activity();
  if (activity != nullptr) activity->set_step(order.step);
  const Batch batch = take_batch(order);
  const BatchPlan& plan = batch.plan;
  parts_.policy.begin_step(static_cast<int>(plan.microbatches.size()));
  StepOutcome outcome = agree(order, forward_backward(order, batch));
  outcome.totals = plan.totals;
  outcome.num_stream_tokens = plan.num_stream_tokens;
  outcome.grad_norm = reduce(order);
  if (parts_.saver != nullptr) {
    note_work(activity, "letting go of values that a checkpoint is still to have");
    parts_.saver->release_values();
  }
  note_work(activity, "updating the weights");
  parts_.policy.update(order.learning_rate, outcome.grad_norm, order.max_grad_norm);
  return outcome;
}

TrainStep::Batch TrainStep::read(const std::vector<std::uint64_t>& pair_indices) const {
  Batch batch{.pair_indices = pair_indices, .plan = parts_.source.plan(pair_indices), .microbatches = {}};
  batch.microbatches = parts_.source.read_all(batch.plan);
  return batch;
}

TrainStep::Batch TrainStep::take_batch(const StepOrder& order) {
  std::optional<Batch> ahead = std::exchange(ahead_, std::nullopt);
  if (ahead && ahead->pair_indices == order.pair_indices) return *std::move(ahead);
  note_work(parts_.world.activity(), "reading the batch's pairs");
  return read(order.pair_indices);
}

// A device that computes while the host goes on still has most of the last backward pass to do.
void TrainStep::read_ahead(const StepOrder& order) {
  if (order.next_pair_indices.empty()) return;
  note_work(parts_.world.activity(), "reading the next batch's pairs");
  try {
    ahead_ = read(order.next_pair_indices);
  } catch (const std::exception&) {
    ahead_.reset();  // the next step reads them again, and fails itself
  }
}

TrainStep::LocalResult TrainStep::forward_backward(const StepOrder& order, const Batch& batch) {
  const BatchPlan& plan = batch.plan;
  LocalResult result{
      .metrics = MetricValues(parts_.objective.metrics().size(), 0.0), .forward_flops = 0.0, .fault = {}};
  parts_.pass.train(batch.microbatches, [&](std::size_t index, const ResponseLogProbs& log_probs) {
    return share_of(order, plan, batch.microbatches[index], log_probs, result);
  });
  read_ahead(order);
  const bool is_finite = parts_.policy.end_passes();
  if (result.fault.empty() && !is_finite) {
    std::vector<std::uint64_t> own;
    for (const auto& pairs : plan.microbatches) own.insert(own.end(), pairs.begin(), pairs.end());
    result.fault =
        fmt::format("a gradient is not finite after {}", detail::describe_pairs(own, parts_.source.dataset()));
  }
  return result;
}

at::Tensor TrainStep::share_of(const StepOrder& order, const BatchPlan& plan, const MicroBatch& microbatch,
                               const ResponseLogProbs& log_probs, LocalResult& result) {
  const ModelShard& shard = parts_.policy.shard();
  const PreferenceDataset& dataset = parts_.source.dataset();
  const PairBatch batch = pair_batch(log_probs, microbatch, parts_.source.layout(), dataset, parts_.reference);
  const ObjectiveShare share = parts_.objective.share(batch, plan.totals);
  if (!parts_.pass.is_speaker()) return share.loss;
  const std::vector<std::uint64_t> pairs(microbatch.pair_indices.begin(), microbatch.pair_indices.end());
  auto fault = detail::find_non_finite(batch, share.metrics.front(), pairs, dataset);
  if (!fault && order.check_against_reference) {
    fault = detail::find_reference_mismatch(batch, log_prob_tolerance(shard.options().dtype), pairs, dataset);
  }
  if (fault && result.fault.empty()) result.fault = *fault;
  for (std::size_t i = 0; i < share.metrics.size(); ++i) result.metrics[i] += share.metrics[i];
  result.forward_flops += flops_of(shard.spec(), microbatch);
  return share.loss;
}

StopKind TrainStep::own_stop() const { return parts_.stop == nullptr ? StopKind::kNone : parts_.stop->own(); }

StepOutcome TrainStep::agree(const StepOrder& order, const LocalResult& local) {
  if (parts_.gate != nullptr) parts_.gate->close();
  // A fault on one rank must stop all of them before any makes an update.
  const SaveProgress save = parts_.saver == nullptr ? SaveProgress{} : parts_.saver->progress();
  const std::string& fault = local.fault.empty() ? save.failure : local.fault;
  std::vector<double> values = local.metrics;
  values.push_back(local.forward_flops);
  for (const double vote : StopVotes::of(own_stop())) values.push_back(vote);
  values.push_back(save.is_busy ? 1.0 : 0.0);
  values.push_back(fault.empty() ? 0.0 : 1.0);
  note_work(parts_.world.activity(), "adding up the step's metrics");
  reduce_metrics(values, parts_.world);
  if (parts_.gate != nullptr) parts_.gate->pass();
  if (values.back() > 0.0) {
    run_agreed(parts_.world, [&] {
      if (!fault.empty()) throw Error(fmt::format("step {}: {}", order.step, fault));
    });
  }
  const std::size_t num_metrics = local.metrics.size();
  StepOutcome outcome;
  outcome.metrics.assign(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(num_metrics));
  outcome.forward_flops = values[num_metrics];
  outcome.stop = StopVotes::read(std::span(values).subspan(num_metrics + 1).first<2>());
  outcome.is_saving = values[num_metrics + 3] > 0.0;
  return outcome;
}

double TrainStep::reduce(const StepOrder& order) {
  note_work(parts_.world.activity(), "adding up gradients");
  const double norm = parts_.policy.reduce_gradients();
  if (!std::isfinite(norm)) {
    throw AgreedError(
        fmt::format("step {}: the sum of all ranks' gradients is not finite, though each rank's own is", order.step),
        ExitCode::kFailure);
  }
  return norm;
}

}  // namespace collimate
