#include "collimate/train/training_run.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/determinism.hpp"
#include "collimate/engine/metrics_writer.hpp"
#include "collimate/engine/progress.hpp"
#include "collimate/engine/reference_job.hpp"
#include "collimate/engine/trace_file.hpp"
#include "collimate/job/run_config.hpp"
#include "collimate/nn/attention.hpp"
#include "run_record.hpp"

namespace collimate {

std::unique_ptr<TrainingRun> TrainingRun::build(RunConfig config, const TrainRequest& request, ProcessMesh& mesh,
                                                const Log& log) {
  std::unique_ptr<TrainingRun> run(new TrainingRun(std::move(config), request.stop, mesh, log));
  run->open_inputs();
  leave_if_stopped(&request.stop, mesh.world(), "no step was made");
  run->open_scored_reference(request.config_file);
  const bool is_resumed = run->lock_output(request);
  if (!is_resumed) run->claim_output();
  run->build_policy(is_resumed, request.config_file);
  TrainProgress progress;
  if (is_resumed) {
    progress = run->restore_policy(request.resume);
    run->claim_output();  // a checkpoint that cannot be loaded leaves the folder as it was
  }
  run->start_trace();
  run->build_trainer(request, progress, is_resumed);
  return run;
}

TrainingRun::TrainingRun(RunConfig config, JobStop& stop, ProcessMesh& mesh, const Log& log)
    : config_(std::move(config)),
      mesh_(mesh),
      stop_(stop),
      log_(log),
      objective_(config_.objective),
      meter_(mesh.device()) {}

TrainingRun::~TrainingRun() = default;

ExitCode TrainingRun::run() {
  leave_if_stopped(&stop_, mesh_.world(), "no step was made");
  const ExitCode code = trainer_->run();
  if (const auto reason = trainer_->early_stop()) log_.info("{}", *reason);
  if (trace_) write_trace(*config_.runtime.trace, *trace_, mesh_);
  log_memory();
  return code;
}

// Of the rank that took most.
void TrainingRun::log_memory() const {
  const MemoryUse held = policy_->held_bytes();
  const std::int64_t rest = meter_.peak_bytes() - held.total();
  const std::string own = fmt::format(
      "{:020} {} of tensors on rank {} (weights {}, gradients {}, optimizer {}, the rest {}); planned {}, with copies "
      "for "
      "checkpoints {}",
      meter_.peak_bytes(), text_of_bytes(meter_.peak_bytes()), mesh_.world().rank(),
      text_of_bytes(held[MemoryKind::kWeights]), text_of_bytes(held[MemoryKind::kGradients]),
      text_of_bytes(held[MemoryKind::kOptimizer]), text_of_bytes(rest),
      text_of_bytes(planned_memory_.peak_without_copies()), text_of_bytes(planned_memory_.peak()));
  const std::vector<std::string> all = mesh_.world().all_gather_bytes(own);
  log_.info("memory: at most {}", std::ranges::max_element(all)->substr(21));
}

void TrainingRun::tell_slow_attention() const {
  const std::string reason =
      slow_attention_reason(mesh_.device(), scalar_type(config_.model.dtype), model_->spec().head_dim);
  if (!reason.empty()) log_.info("attention goes block by block, which is slow on a GPU: {}", reason);
}

void TrainingRun::open_inputs() {
  Communicator& world = mesh_.world();
  note_work(world.activity(), "opening the model");
  model_ = make_agreed(world, [&] { return open_divided_model(config_.model, config_.parallel); });
  tell_remarks(*model_, log_);
  tell_slow_attention();
  data_ = open_scanned_data(config_, *model_, world);
  run_agreed(world, [&] { static_cast<void>(BestMetric(config_.train.metric_for_best_model, objective_.metrics())); });
  planned_memory_ = require_training_fits(config_, model_->spec(), data_->train, mesh_);
  model_fingerprints_ = model_fingerprints(*model_, world);
  needed_reference_ = needed_reference(config_, *data_, model_fingerprints_, world);
}

// A run that needs rows and may not score them ends before it writes anything.
void TrainingRun::open_scored_reference(const std::string& config_file) {
  if (!needed_reference_ || config_.reference.score == ScoreTime::kAtStart) return;
  note_work(mesh_.world().activity(), "opening the reference store");
  reference_ = open_complete_reference(config_, *data_, *needed_reference_, mesh_.world(), config_file);
}

// Whether the policy's weights, as they are loaded, are the frozen model's: those of a checkpoint never are.
bool TrainingRun::policy_can_score(bool is_resumed) const {
  return !is_resumed && config_.reference.placement == ReferencePlacement::kColocated &&
         starts_from(*needed_reference_);
}

// With `shard`, or else with one of its own, which is gone when it returns.
void TrainingRun::score_reference(const ModelSource& model, const ModelShard* shard, const std::string& config_file) {
  complete_reference_store({.config = config_,
                            .mesh = mesh_,
                            .log = log_,
                            .model = model,
                            .data = *data_,
                            .identity = *needed_reference_,
                            .shard = shard,
                            .stop = &stop_});
  reference_ = open_complete_reference(config_, *data_, *needed_reference_, mesh_.world(), config_file);
}

bool TrainingRun::lock_output(const TrainRequest& request) {
  Communicator& world = mesh_.world();
  note_work(world.activity(), "looking for a checkpoint to go on from");
  std::optional<Checkpoint> found = open_named_checkpoint(request.resume, world);
  Continuation continuation{.allowed = request.allowed_changes};
  if (found) continuation.resumed_from = {.place = found->path(), .text = found->state().configuration};
  output_ = make_agreed(world, [&] { return OutputFolder::inspect(config_, continuation); });
  if (!found) found = find_own_checkpoint(request.resume, *output_, checkpoint_store(), world, log_);
  run_agreed(world, [&] {
    if (found) require_same_fingerprints(*found, fingerprints());
    if (world.rank() == 0) output_->lock(log_);
  });
  return found.has_value();
}

void TrainingRun::claim_output() {
  Communicator& world = mesh_.world();
  note_work(world.activity(), "claiming the output folder");
  for (const FieldDifference& change : output_->changes()) log_.info("changed since: {}", change.text());
  run_agreed(world, [&] {
    if (world.rank() != 0) return;
    output_->claim(log_);
    checkpoint_store().remove_staged();
  });
  const std::vector<std::string> hosts = world.all_gather_bytes(host_name());
  run_agreed(world, [&] {
    if (world.rank() != 0) return;
    detail::write_run_record(output_->run_file(),
                             {.mesh = mesh_.shape(), .hosts = hosts, .fingerprints = fingerprints()});
  });
}

// Of a resumed run the weights come with the rest of its checkpoint.
ModelShard TrainingRun::initial_shard(bool is_resumed) const {
  return make_agreed(mesh_.world(), [&] {
    const ShardLayout layout = shard_layout(config_.parallel, model_->spec(), mesh_);
    StageOptions stage = stage_options(config_.model.dtype, ShardUse::kTraining, mesh_);
    stage.recompute = config_.model.recompute;
    return is_resumed ? build_unset_shard(model_->spec(), layout, stage) : build_shard(*model_, layout, stage);
  });
}

void TrainingRun::build_policy(bool is_resumed, const std::string& config_file) {
  note_work(mesh_.world().activity(), "building the policy");
  set_deterministic(config_.train.deterministic);
  const bool is_to_score = needed_reference_ && !reference_;
  const bool policy_scores = is_to_score && policy_can_score(is_resumed);
  if (is_to_score && !policy_scores) {
    const auto frozen =
        make_agreed(mesh_.world(), [&] { return open_divided_model(reference_model(config_), config_.parallel); });
    if (config_.reference.path) tell_remarks(*frozen, log_);
    score_reference(*frozen, nullptr, config_file);
  }
  ModelShard shard = initial_shard(is_resumed);
  if (policy_scores) {
    log_.info("what the reference store lacks is scored with the policy's weights, which are the reference's");
    score_reference(*model_, &shard, config_file);
  }
  policy_.emplace(std::move(shard), config_.optimizer, PolicyOptions{.zero_stage = config_.parallel.zero_stage}, mesh_);
  pass_.emplace(policy_->shard(), mesh_, config_.parallel);
  note_work(mesh_.world().activity(), "taking the initial weights");
  run_agreed(mesh_.world(), [&] {
    if (!is_resumed) policy_->take_initial_weights(*model_);
  });
}

TrainProgress TrainingRun::restore_policy(const ResumeOption& option) {
  const Checkpoint checkpoint =
      load_resumed_checkpoint(option, checkpoint_store(), mesh_.world(), log_,
                              [&](const Checkpoint& opened) { policy_->restore(opened, opened.state().step); });
  log_.info("resumed from {} after step {}", checkpoint.path(), checkpoint.state().step);
  return make_agreed(mesh_.world(), [&] {
    require_same_fingerprints(checkpoint, fingerprints());  // perhaps an older one than was found
    return progress_of(checkpoint.state());
  });
}

void TrainingRun::start_trace() {
  if (!config_.runtime.trace) return;
  trace_.emplace();
  mesh_.for_each_group([&](Communicator& group) { group.set_trace(&*trace_); });
  pass_->set_trace(&*trace_);
  mesh_.world().barrier();
  trace_->restart_clock();
}

void TrainingRun::build_trainer(const TrainRequest& request, const TrainProgress& progress, bool is_resumed) {
  note_work(mesh_.world().activity(), "building the trainer");
  const PackingOptions packing =
      packing_options(config_.batch, mesh_.shape(), model_->spec(), needed_responses(objective_.needs()));
  const ReferenceStore* reference = reference_ ? &*reference_ : nullptr;
  train_source_.emplace(data_->train, packing, mesh_.coordinate().dp_rank);
  if (data_->eval) {
    eval_source_.emplace(*data_->eval, packing, mesh_.coordinate().dp_rank);
    evaluator_.emplace(*eval_source_, objective_, reference, mesh_.world(), config_.batch.eval_batch_size);
  }
  restore_best_pointer(progress);
  const SamplerOptions sampling{.seed = config_.train.seed,
                                .shuffle = config_.data.shuffle,
                                .global_batch_size = config_.batch.global_batch_size};
  trainer_ = std::make_unique<Trainer>(TrainerParts{.config = config_,
                                                    .mesh = mesh_,
                                                    .policy = *policy_,
                                                    .pass = *pass_,
                                                    .objective = objective_,
                                                    .reference = reference,
                                                    .train_source = *train_source_,
                                                    .evaluator = evaluator_ ? &*evaluator_ : nullptr,
                                                    .sampler = Sampler(sampling, data_->train.source_sizes()),
                                                    .checkpoints = checkpoint_store(),
                                                    .checkpoint_identity = checkpoint_identity(),
                                                    .observers = build_observers(progress.step),
                                                    .log = log_,
                                                    .stop = request.stop,
                                                    .end_job = request.end_job,
                                                    .trace = trace_ ? &*trace_ : nullptr,
                                                    .policy_is_reference = !is_resumed && starts_from_reference()},
                                       progress);
}

std::map<std::string, std::string> TrainingRun::fingerprints() const {
  std::map<std::string, std::string> all{{"model_weights", model_fingerprints_.weights},
                                         {"model_config", model_fingerprints_.config},
                                         {"train_data", data_->train.fingerprint().hex()}};
  if (needed_reference_) all.emplace("reference_weights", needed_reference_->weights_fingerprint);
  return all;
}

CheckpointStore TrainingRun::checkpoint_store() const {
  const CheckpointConfig& config = config_.checkpoint;
  return {output_->checkpoints().string(), config.save_total_limit, config.keep_every};
}

// A kill between a commit and its pointer leaves the one before; nothing where the run comes from another folder.
void TrainingRun::restore_best_pointer(const TrainProgress& progress) const {
  run_agreed(mesh_.world(), [&] {
    if (mesh_.world().rank() != 0 || progress.best.is_null()) return;
    const CheckpointStore store = checkpoint_store();
    const auto step = progress.best.at("step").get<std::int64_t>();
    const bool is_there = std::ranges::count(store.steps(), step) > 0;
    if (is_there && store.find_pointer("best") != store.path_of(step)) store.mark_best(step);
  });
}

CheckpointState TrainingRun::checkpoint_identity() const {
  CheckpointState state;
  state.fingerprints = fingerprints();
  state.configuration = dump_canonical(with_absolute_paths(config_));
  const MeshShape& shape = mesh_.shape();
  state.layout = {{"data", shape.data}, {"pipeline", shape.pipeline}, {"tensor", shape.tensor}};
  return state;
}

std::vector<std::unique_ptr<Observer>> TrainingRun::build_observers(std::int64_t resumed_step) const {
  std::vector<std::unique_ptr<Observer>> observers;
  if (mesh_.world().rank() == 0) {
    observers.push_back(std::make_unique<MetricsWriter>(output_->metrics_file(), resumed_step));
    observers.push_back(std::make_unique<Progress>(stderr));
  }
  return observers;
}

bool TrainingRun::starts_from(const ReferenceIdentity& reference) const {
  return reference.weights_fingerprint == model_fingerprints_.weights &&
         reference.model_config_fingerprint == model_fingerprints_.config && reference.dtype == config_.model.dtype;
}

bool TrainingRun::starts_from_reference() const {
  if (!needed_reference_) return false;
  const bool same = starts_from(*needed_reference_);
  if (!same)
    log_.info(
        "step 0 is not checked against the reference store: the policy starts from other weights or another dtype");
  return same;
}

}  // namespace collimate
