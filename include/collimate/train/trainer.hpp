#pragma once
// The training loop: steps, evaluations, checkpoints, reports. It owns its parts; build_trainer.hpp puts them together.

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/base/log.hpp"
#include "collimate/data/sampler.hpp"
#include "collimate/engine/evaluator.hpp"
#include "collimate/engine/step_report.hpp"
#include "collimate/job/config.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/train/best_metric.hpp"
#include "collimate/train/early_stopping.hpp"
#include "collimate/train/step_rescue.hpp"
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
  const Log& log;
  JobStop& stop;
  EndJob end_job;
  TraceRecorder* trace = nullptr;    // null: no trace
  bool policy_is_reference = false;  // the initial weights are the reference's: step 0 is checked against the store
};

/// Runs a configuration to its end.
class Trainer {
 public:
  /// *Collective.*
  Trainer(TrainerParts parts, TrainProgress progress);

  /// *Collective.* Trains from the current progress. Returns kDone, also where early stopping ends the run, or
  /// kPreempted or kInterrupted after a request to stop, with a checkpoint committed in all cases. A step or evaluation
  /// that would outlast the grace time is given up: then it does not return, and the job ends with kPreempted. Throws
  /// as TrainStep::run and Evaluator::evaluate do.
  ExitCode run();

  [[nodiscard]] std::int64_t num_steps() const noexcept { return num_steps_; }
  /// Why early stopping has ended the run before its last step, for the person; nothing where it has not.
  [[nodiscard]] std::optional<std::string> early_stop() const;

 private:
  /// What a rank asks for.
  StopKind run_step();
  void announce_stop();
  [[nodiscard]] std::vector<std::uint64_t> next_batch();
  [[nodiscard]] StepReport report_of(const StepOutcome& outcome, double learning_rate, std::size_t num_pairs,
                                     double seconds) const;
  struct EvaluationOutcome {
    StopKind stop = StopKind::kNone;  // other than kNone: given up
    bool is_best = false;
  };
  EvaluationOutcome evaluate();
  [[nodiscard]] SaveOptions save_options();
  [[nodiscard]] bool has_all_steps() const;
  /// After the step that was just made, or at its end.
  [[nodiscard]] bool evaluation_is_due() const;
  StopKind pay_owed_evaluation();
  [[nodiscard]] nlohmann::json trainer_state() const;
  void save(bool is_best);
  void start_saving(bool is_best);
  /// By the rescue's thread, while this object's own may be inside of `given_up` and changes nothing.
  void save_last_step(WorkKind given_up);
  [[nodiscard]] RescueParts rescue_parts();
  [[nodiscard]] std::optional<double> usual_saving() const;
  void tell_end();
  [[nodiscard]] double epoch() const { return parts_.sampler.epochs_done(progress_.step); }

  TrainerParts parts_;
  TrainProgress progress_;
  std::unique_ptr<Communicator> saving_group_;  // the saver's own: the rescue's thread saves, too
  CheckpointSaver saver_;
  std::int64_t saved_step_;              // of the last checkpoint that was begun; of the one that the run goes on from
  std::atomic<double> usual_saving_{0};  // seconds; 0: not known
  WorkGate gate_;
  TrainStep step_;
  BestMetric best_;
  EarlyStopping early_stopping_;
  std::int64_t num_steps_;
  double peak_flops_;  // of all ranks
};

/// Optimizer steps of a run: max_steps, or what num_train_epochs comes to.
std::int64_t num_optimizer_steps(const TrainConfig& config, const Sampler& sampler);

}  // namespace collimate
