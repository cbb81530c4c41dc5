#pragma once
// The one place where the parts of training meet: from a configuration to a trainer, every input checked before the
// first byte is written.

#include <memory>
#include <string>

#include "collimate/base/log.hpp"
#include "collimate/base/trace.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/memory_meter.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "collimate/train/resume.hpp"
#include "collimate/train/trainer.hpp"

namespace collimate {

/// What a person asked for on the command line.
struct TrainRequest {
  std::string config_file;  // for messages
  ResumeOption resume;
  std::vector<std::string> allowed_changes = {};  ///< fields of identity that may differ from the run's earlier part
  JobStop& stop;
  EndJob end_job;  ///< for a step that must be given up
};

/// Owns everything that a trainer refers to, and the trainer.
class TrainingRun {
 public:
  /// *Collective.* Opens and checks all inputs, claims the output folder, builds or restores the policy. Throws
  /// AgreedError, and Stopped when a rank asks to stop. `mesh`, `request.stop` and `log` must outlive the run.
  static std::unique_ptr<TrainingRun> build(RunConfig config, const TrainRequest& request, ProcessMesh& mesh,
                                            const Log& log);
  ~TrainingRun();

  /// *Collective.* Trains to the end; see Trainer::run. Writes the trace that the configuration asks for.
  ExitCode run();

 private:
  TrainingRun(RunConfig config, JobStop& stop, ProcessMesh& mesh, const Log& log);

  void tell_slow_attention() const;
  void open_inputs();
  void open_scored_reference(const std::string& config_file);
  [[nodiscard]] bool policy_can_score(bool is_resumed) const;
  void score_reference(const ModelSource& model, const ModelShard* shard, const std::string& config_file);
  void log_memory() const;
  /// Whether the run goes on from a checkpoint.
  bool lock_output(const TrainRequest& request);
  void claim_output();
  [[nodiscard]] ModelShard initial_shard(bool is_resumed) const;
  void build_policy(bool is_resumed, const std::string& config_file);
  TrainProgress restore_policy(const ResumeOption& option);
  void start_trace();
  void build_trainer(const TrainRequest& request, const TrainProgress& progress, bool is_resumed);
  [[nodiscard]] std::map<std::string, std::string> fingerprints() const;
  [[nodiscard]] CheckpointStore checkpoint_store() const;
  void restore_best_pointer(const TrainProgress& progress) const;
  [[nodiscard]] CheckpointState checkpoint_identity() const;
  [[nodiscard]] std::vector<std::unique_ptr<Observer>> build_observers(std::int64_t resumed_step) const;
  [[nodiscard]] bool starts_from(const ReferenceIdentity& reference) const;
  [[nodiscard]] bool starts_from_reference() const;

  RunConfig config_;
  ProcessMesh& mesh_;
  JobStop& stop_;
  const Log& log_;
  Objective objective_;
  std::unique_ptr<ModelSource> model_;
  ModelFingerprints model_fingerprints_;
  std::optional<RunData> data_;
  RankMemory planned_memory_;
  MemoryMeter meter_;  // before all that it counts
  std::optional<ReferenceIdentity> needed_reference_;
  std::optional<ReferenceStore> reference_;
  std::optional<OutputFolder> output_;
  std::optional<TraceRecorder> trace_;
  std::optional<Policy> policy_;
  std::optional<ModelPass> pass_;
  std::optional<BatchSource> train_source_;
  std::optional<BatchSource> eval_source_;
  std::optional<Evaluator> evaluator_;
  std::unique_ptr<Trainer> trainer_;
};

}  // namespace collimate
