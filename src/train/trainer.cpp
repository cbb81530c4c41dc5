#include "collimate/train/trainer.hpp"

#include <chrono>
#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/base/trace.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/device_peak.hpp"
#include "collimate/engine/reduce_metrics.hpp"
#include "collimate/optim/lr_schedule.hpp"
#include "trainer_state.hpp"

namespace collimate {

namespace {

double peak_flops_of_all(const RunConfig& config, const ProcessMesh& mesh, const Log& log) {
  const DevicePeak own = device_peak(config.runtime, config.model.dtype, mesh.device());
  std::vector<double> peak{own.flops};
  reduce_metrics(peak, mesh.world());
  const double each = peak.front() / 1e12 / mesh.world().size();
  log.info("mfu is of {:.1f} TFLOP/s a rank, by {}", each, own.source);
  return peak.front();
}

bool is_due(std::int64_t step, std::int64_t interval) { return step % interval == 0; }

std::uint64_t count_of(const nlohmann::json& value) {
  const auto count = find_whole_number(value);
  if (count && *count >= 0) return static_cast<std::uint64_t>(*count);
  throw Error(fmt::format("{} is not a whole number from 0", value.dump()));
}

/// What is known of evaluations is null, or belongs to a metric and has these two numbers.
void require_record(const nlohmann::json& record, const char* number, const char* count) {
  if (record.is_null()) return;
  static_cast<void>(count_of(record.at(count)));
  if (record.at("metric").is_string() && record.at(number).is_number()) return;
  throw Error(fmt::format("{} is not a metric with its {}", record.dump(), number));
}

}  // namespace

std::int64_t num_optimizer_steps(const TrainConfig& config, const Sampler& sampler) {
  if (config.max_steps >= 0) return config.max_steps;
  return static_cast<std::int64_t>(
      std::ceil(config.num_train_epochs * static_cast<double>(sampler.num_batches_per_epoch())));
}

TrainProgress progress_of(const CheckpointState& state) {
  try {
    const nlohmann::json& saved = state.trainer_state;
    TrainProgress progress{.step = state.step,
                           .num_pairs = count_of(saved.at("num_pairs")),
                           .num_tokens = count_of(saved.at("num_tokens")),
                           .owes_evaluation = saved.value("owes_evaluation", false),
                           .best = saved.at("best"),
                           .early_stopping = saved.value("early_stopping", nlohmann::json())};
    require_record(progress.best, "value", "step");
    require_record(progress.early_stopping, "threshold", "num_evaluations_without_improvement");
    return progress;
  } catch (const std::exception& error) {  // of the JSON library, or of a value that cannot be
    throw InputError(
        fmt::format("the checkpoint of step {} has no usable trainer state: {}", state.step, error.what()));
  }
}

Trainer::Trainer(TrainerParts parts, TrainProgress progress)
    : parts_(std::move(parts)),
      progress_(std::move(progress)),
      saving_group_(parts_.mesh.make_world_group()),
      saver_(parts_.checkpoints, save_options(), *saving_group_),
      saved_step_(progress_.step),
      step_({.policy = parts_.policy,
             .pass = parts_.pass,
             .source = parts_.train_source,
             .objective = parts_.objective,
             .reference = parts_.reference,
             .world = parts_.mesh.world(),
             .saver = &saver_,
             .stop = &parts_.stop,
             .gate = &gate_}),
      best_(parts_.config.train.metric_for_best_model, parts_.objective.metrics()),
      early_stopping_(parts_.config.train.early_stopping, best_.name()),
      num_steps_(num_optimizer_steps(parts_.config.train, parts_.sampler)),
      peak_flops_(peak_flops_of_all(parts_.config, parts_.mesh, parts_.log)) {
  saving_group_->set_activity(parts_.mesh.world().activity());
  best_.restore(progress_.best);
  early_stopping_.restore(progress_.early_stopping);
}

ExitCode Trainer::run() {
  const StepRescue rescue(rescue_parts());
  StopKind stop = progress_.owes_evaluation ? pay_owed_evaluation() : StopKind::kNone;
  while (stop == StopKind::kNone && !has_all_steps()) {
    stop = run_step();
    EvaluationOutcome evaluation{.stop = stop};  // who asks to stop does not wait for it
    if (evaluation_is_due() && stop == StopKind::kNone) evaluation = evaluate();
    stop = evaluation.stop;
    progress_.owes_evaluation = evaluation_is_due() && stop != StopKind::kNone;
    if (stop != StopKind::kNone) announce_stop();
    const bool last = stop != StopKind::kNone || has_all_steps();
    const bool is_best = evaluation.is_best;
    if (is_due(progress_.step, parts_.config.checkpoint.save_steps) || last || is_best) save(is_best);
  }
  saver_.finish();
  const bool is_done = has_all_steps() && !progress_.owes_evaluation;
  if (stop == StopKind::kNone || is_done) return ExitCode::kDone;
  tell_end();
  return exit_code_of(stop);
}

bool Trainer::has_all_steps() const { return progress_.step >= num_steps_ || early_stopping_.is_reached(); }

void Trainer::announce_stop() {
  parts_.log.info("{}: all ranks stop after step {} of {}", parts_.stop.cause(), progress_.step, num_steps_);
}

void Trainer::tell_end() {
  const char* const saved = progress_.step == 0 ? "no step was made" : "a checkpoint is saved";
  parts_.log.info("{}, {}; train again to go on", saved, parts_.stop.account());
}

RescueParts Trainer::rescue_parts() {
  return {.gate = gate_,
          .stop = parts_.stop,
          .usual_saving = [this] { return usual_saving(); },
          .save = [this](WorkKind given_up) { save_last_step(given_up); },
          .end_job = parts_.end_job,
          .log = parts_.log};
}

std::optional<double> Trainer::usual_saving() const {
  const double seconds = usual_saving_;
  return seconds > 0 ? std::optional(seconds) : std::nullopt;
}

void Trainer::save_last_step(WorkKind given_up) {
  const bool is_step = given_up == WorkKind::kStep;
  parts_.log.info("{}: {} {} would outlast runtime.grace_seconds and is given up; all ranks stop after step {} of {}",
                  parts_.stop.cause(), is_step ? "step" : "the evaluation after step",
                  is_step ? progress_.step + 1 : progress_.step, progress_.step, num_steps_);
  progress_.owes_evaluation = !is_step;
  if (saved_step_ != progress_.step) start_saving(false);
  saver_.finish();
  tell_end();
}

bool Trainer::evaluation_is_due() const {
  if (parts_.evaluator == nullptr) return false;
  return is_due(progress_.step, parts_.config.train.eval_steps) || progress_.step == num_steps_;
}

// So that best and early stopping see what the run that nobody interrupted has seen.
StopKind Trainer::pay_owed_evaluation() {
  const EvaluationOutcome evaluation = parts_.evaluator == nullptr ? EvaluationOutcome{} : evaluate();
  if (evaluation.stop != StopKind::kNone) {
    announce_stop();
    return evaluation.stop;
  }
  progress_.owes_evaluation = false;
  if (parts_.evaluator != nullptr) save(evaluation.is_best);
  return StopKind::kNone;
}

std::optional<std::string> Trainer::early_stop() const {
  if (!early_stopping_.is_reached() || progress_.step >= num_steps_) return std::nullopt;
  return fmt::format("stopped early after step {} of {}: {}; the best is {}", progress_.step, num_steps_,
                     early_stopping_.reason(), best_.text());
}

StopKind Trainer::run_step() {
  const TraceScope scope(parts_.trace, "step", fmt::format("step {}", progress_.step));
  const auto start = std::chrono::steady_clock::now();
  const OptimizerConfig& optimizer = parts_.config.optimizer;
  const StepOrder order{.step = progress_.step,
                        .pair_indices = parts_.sampler.batch(progress_.step),
                        .next_pair_indices = next_batch(),
                        .learning_rate = learning_rate(optimizer, progress_.step, num_steps_),
                        .max_grad_norm = optimizer.max_grad_norm,
                        .check_against_reference = parts_.policy_is_reference && progress_.step == 0};
  const StepOutcome outcome = step_.run(order);
  if (!outcome.is_saving) saver_.advance();
  ++progress_.step;
  progress_.num_pairs += order.pair_indices.size();
  progress_.num_tokens += outcome.num_stream_tokens;
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  note_work(parts_.mesh.world().activity(), "reporting the step");
  const StepReport report = report_of(outcome, order.learning_rate, order.pair_indices.size(), elapsed.count());
  for (const auto& observer : parts_.observers) observer->on_step(report);
  return outcome.stop;
}

std::vector<std::uint64_t> Trainer::next_batch() {
  return progress_.step + 1 < num_steps_ ? parts_.sampler.batch(progress_.step + 1) : std::vector<std::uint64_t>();
}

StepReport Trainer::report_of(const StepOutcome& outcome, double learning_rate, std::size_t num_pairs,
                              double seconds) const {
  StepReport report{.step = progress_.step, .num_steps = num_steps_, .epoch = epoch(), .metrics = {}, .timing = {}};
  report.metrics = named_metrics(parts_.objective, outcome.metrics, outcome.totals);
  report.metrics.emplace_back("grad_norm", outcome.grad_norm);
  report.metrics.emplace_back("learning_rate", learning_rate);
  report.metrics.emplace_back("num_tokens", static_cast<double>(progress_.num_tokens));
  report.timing.emplace_back("pairs_per_second", static_cast<double>(num_pairs) / seconds);
  report.timing.emplace_back("tokens_per_second", static_cast<double>(outcome.num_stream_tokens) / seconds);
  report.timing.emplace_back("mfu", 3.0 * outcome.forward_flops / (seconds * peak_flops_));
  report.timing.emplace_back("step_seconds", seconds);
  return report;
}

Trainer::EvaluationOutcome Trainer::evaluate() {
  gate_.open(WorkKind::kEvaluation);
  const auto result = parts_.evaluator->evaluate(parts_.pass, &parts_.stop, [this] { gate_.close(); });
  const auto* kind = std::get_if<StopKind>(&result);
  if (kind != nullptr) {
    gate_.close();
    parts_.mesh.world().barrier();  // no rank has given it up
  }
  gate_.pass();
  if (kind != nullptr) return {.stop = *kind};
  EvaluationReport report = std::get<EvaluationReport>(result);
  report.step = progress_.step;
  report.epoch = epoch();
  for (const auto& observer : parts_.observers) observer->on_evaluation(report);
  const double gain = best_.take(report);
  early_stopping_.count(gain);
  return {.is_best = gain > 0};
}

nlohmann::json Trainer::trainer_state() const {
  nlohmann::json state = detail::derived_trainer_state(parts_.config, parts_.sampler, progress_.step, num_steps_);
  state.update({{"num_pairs", progress_.num_pairs},
                {"num_tokens", progress_.num_tokens},
                {"owes_evaluation", progress_.owes_evaluation},
                {"best", best_.state()},
                {"early_stopping", early_stopping_.state()}});
  return state;
}

SaveOptions Trainer::save_options() {
  const CheckpointConfig& config = parts_.config.checkpoint;
  return {.asynchronous = config.asynchronous,
          .buffer_bytes = static_cast<std::uint64_t>(config.buffer_bytes),
          .on_commit = [this](const SaveReport& report) {
            usual_saving_ = report.write_seconds;
            for (const auto& observer : parts_.observers) observer->on_checkpoint(report);
          }};
}

void Trainer::save(bool is_best) {
  note_work(parts_.mesh.world().activity(), "saving the checkpoint of step {}", progress_.step);
  parts_.policy.wait_for_parameters();
  start_saving(is_best);
}

void Trainer::start_saving(bool is_best) {
  saved_step_ = progress_.step;
  CheckpointState state = parts_.checkpoint_identity;
  state.step = progress_.step;
  state.trainer_state = trainer_state();
  saver_.start(state, parts_.policy.pieces(), is_best ? BestMark::kMove : BestMark::kKeep);
}

}  // namespace collimate
