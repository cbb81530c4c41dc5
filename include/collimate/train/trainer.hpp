#pragma once
// The training loop: steps, evaluations, checkpoints, reports. It owns its parts; build_trainer.hpp puts them together.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/data/sampler.hpp"
#include "collimate/engine/evaluator.hpp"
#include "collimate/engine/step_report.hpp"
#include "collimate/job/config.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/train/best_metric.hpp"
#include "collimate/train/early_stopping.hpp"
#include "collimate/train/train_step.hpp"

namespace collimate {

/// Where a run stands; part of every checkpoint.
struct TrainProgress {
  std::int64_t step = 0;  // updates made
  std::uint64_t num_pairs = 0;
  std::uint64_t num_tokens = 0;   // of the streams: a shared prompt counts once
  bool owes_evaluation = false;   // it was interrupted after a step that an evaluation was due after
  nlohmann::json best;            // BestMetric::state
  nlohmann::json early_stopping;  // EarlyStopping::state
};

/// The progress that a checkpoint was saved with. Throws InputError when its trainer state does not say it.
TrainProgress progress_of(const CheckpointState& state);

/// What the loop needs, by reference unless it is small. Everything referenced must outlive the trainer.
struct TrainerParts {
  const RunConfig& config;
  ProcessMesh& mesh;
  Policy& policy;
  ModelPass& pass;
  const Objective& objective;
  const ReferenceStore* reference = nullptr;  // null where the objective needs none
  const BatchSource& train_source;
  const Evaluator* evaluator = nullptr;  // null without an evaluation set
  Sampler sampler;
  CheckpointStore checkpoints;
  CheckpointState checkpoint_identity;               // fingerprints and configuration, filled into every checkpoint
  std::vector<std::unique_ptr<Observer>> observers;  // on rank 0
  std::function<bool()> stop_requested;
  TraceRecorder* trace = nullptr;    // null: no trace
  bool policy_is_reference = false;  // the initial weights are the reference's: step 0 is checked against the store
};

/// Runs a configuration to its end.
class Trainer {
 public:
  Trainer(TrainerParts parts, TrainProgress progress);

  /// *Collective.* Trains from the current progress. Returns kDone, also where early stopping ends the run, or
  /// kInterrupted after a stop request, with a checkpoint committed in all cases. Throws as TrainStep::run and
  /// Evaluator::evaluate do.
  ExitCode run();

  [[nodiscard]] std::int64_t num_steps() const noexcept { return num_steps_; }
  /// Why early stopping has ended the run before its last step, for the person; nothing where it has not.
  [[nodiscard]] std::optional<std::string> early_stop() const;

 private:
  /// True when a rank asked to stop.
  bool run_step();
  [[nodiscard]] StepReport report_of(const StepOutcome& outcome, double learning_rate, std::size_t num_pairs,
                                     double seconds) const;
  /// Whether it was the best so far.
  bool evaluate();
  [[nodiscard]] SaveOptions save_options() const;
  /// After the step that was just made, or at its end.
  [[nodiscard]] bool evaluation_is_due() const;
  void pay_owed_evaluation();
  [[nodiscard]] nlohmann::json trainer_state() const;
  void save(bool is_best);
  [[nodiscard]] double epoch() const { return parts_.sampler.epochs_done(progress_.step); }

  TrainerParts parts_;
  TrainProgress progress_;
  CheckpointSaver saver_;
  TrainStep step_;
  BestMetric best_;
  EarlyStopping early_stopping_;
  std::int64_t num_steps_;
  double peak_flops_;  // of all ranks
};

/// Optimizer steps of a run: max_steps, or what num_train_epochs comes to.
std::int64_t num_optimizer_steps(const TrainConfig& config, const Sampler& sampler);

}  // namespace collimate
