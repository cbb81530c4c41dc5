#pragma once
// Plays a schedule on one rank: what to do next is data (pipeline/schedule.hpp), what a stage computes is the caller's,
// and the executor carries tensors between ranks and between forward and backward passes.

#include <ATen/core/Tensor.h>

#include "collimate/base/trace.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/nn/weight_gradients.hpp"
#include "collimate/pipeline/schedule.hpp"

namespace collimate {

/// What the stages of this rank compute.
class StageWork {
 public:
  StageWork() = default;
  virtual ~StageWork() = default;
  StageWork(const StageWork&) = delete;
  StageWork& operator=(const StageWork&) = delete;

  /// Runs a stage on a microbatch. `input`: what the stage before gave, undefined for the first. Gives what the next
  /// stage takes; the last stage gives the scalar that is differentiated, or nothing in a pass without a backward.
  virtual at::Tensor forward(int stage, int microbatch, const at::Tensor& input) = 0;
  /// An empty tensor for the input of a stage.
  [[nodiscard]] virtual at::Tensor empty_input(int stage, int microbatch) const = 0;
  /// Whether a microbatch has nothing in it, on all ranks of the pipeline: no stage runs and nothing is sent for it.
  [[nodiscard]] virtual bool is_empty(int /*microbatch*/) const { return false; }
  /// A backward pass begins that leaves no weight gradients of its stage and microbatch for later.
  virtual void begin_gradients(int /*stage*/) {}
  /// The weight gradients of a stage are whole for one more microbatch, each of them once.
  virtual void finish_gradients(int /*stage*/) {}
};

/// Plays the actions of one rank of the pipeline. Not owned: what it is given must outlive it.
class ScheduleExecutor {
 public:
  /// `queue` takes the weight gradients of the stages' layers where a schedule puts them apart.
  ScheduleExecutor(Communicator& pipeline, WeightGradientQueue& queue) : pipeline_(pipeline), queue_(queue) {}

  /// *Collective* over the pipeline axis: every rank plays the same schedule, with messages (pipeline/lower.hpp).
  /// Gradients add up in the parameters. Without backward actions nothing is kept for one.
  void run(const Schedule& schedule, StageWork& work);

  /// Records every action from now on; not owned, null for none.
  void set_trace(TraceRecorder* trace) noexcept { trace_ = trace; }

 private:
  Communicator& pipeline_;
  WeightGradientQueue& queue_;
  TraceRecorder* trace_ = nullptr;
  bool is_connected_ = false;
};

}  // namespace collimate
