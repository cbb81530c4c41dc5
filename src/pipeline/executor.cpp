#include "collimate/pipeline/executor.hpp"

#include <deque>
#include <map>
#include <optional>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"

namespace collimate {

namespace {

using Key = std::pair<int, int>;  // stage, microbatch

// A tensor on its way.
struct Message {
  at::Tensor tensor;
  WorkHandle work;  // null where it never left the rank
};

// The messages of one kind that have been asked for or handed over, until a stage takes them.
class Mailbox {
 public:
  void put(Key key, Message message) { messages_[key] = std::move(message); }

  at::Tensor take(Key key) {
    const auto place = messages_.find(key);
    check(place != messages_.end(), "a stage has what it needs: the schedule is in order");
    if (place->second.work) place->second.work->wait();
    at::Tensor tensor = std::move(place->second.tensor);
    messages_.erase(place);
    return tensor;
  }

 private:
  std::map<Key, Message> messages_;
};

// What a backward pass needs of a forward pass.
struct Pass {
  at::Tensor input;  // leaf, undefined for the first stage
  at::Tensor output;
};

// Forgets deferred products when a pass fails halfway.
class QueueGuard {
 public:
  explicit QueueGuard(WeightGradientQueue& queue) : queue_(queue) {}
  ~QueueGuard() { queue_.clear(); }
  QueueGuard(const QueueGuard&) = delete;
  QueueGuard& operator=(const QueueGuard&) = delete;

 private:
  WeightGradientQueue& queue_;
};

// After which nothing of a stage's weight gradients of a microbatch is left to do.
bool completes_gradients(ActionKind kind) {
  return kind == ActionKind::kBackward || kind == ActionKind::kWeightGradient;
}

bool has_backward(const Schedule& schedule) {
  for (const auto& actions : schedule.actions) {
    for (const Action& action : actions) {
      if (action.kind == ActionKind::kBackward || action.kind == ActionKind::kInputGradient) return true;
    }
  }
  return false;
}

// One run of a schedule on one rank.
class Run {
 public:
  Run(const Schedule& schedule, StageWork& work, Communicator& pipeline, WeightGradientQueue& queue)
      : schedule_(schedule), work_(work), pipeline_(pipeline), queue_(queue), keeps_passes_(has_backward(schedule)) {
    if (!keeps_passes_) no_grad_.emplace();
  }

  void play(const Action& action) {
    if (!work_.is_empty(action.microbatch)) do_action(action);
    if (completes_gradients(action.kind)) work_.finish_gradients(action.stage);
  }

  void finish() {
    for (const Message& message : sent_) message.work->wait();
    sent_.clear();
    check(passes_.empty() && queue_.is_empty(), "a schedule leaves no backward pass undone");
  }

 private:
  [[nodiscard]] int rank_of(int stage) const { return schedule_.rank_of_stage.at(static_cast<std::size_t>(stage)); }
  [[nodiscard]] bool is_first(int stage) const { return stage == 0; }
  [[nodiscard]] bool is_last(int stage) const { return stage + 1 == std::ssize(schedule_.rank_of_stage); }

  void do_action(const Action& action) {
    const Key key{action.stage, action.microbatch};
    switch (action.kind) {
      case ActionKind::kForward:
        return forward(key);
      case ActionKind::kBackward:
        work_.begin_gradients(action.stage);
        return backward(key);
      case ActionKind::kInputGradient:
        queue_.defer(key);
        backward(key);
        return queue_.stop_deferring();
      case ActionKind::kWeightGradient:
        return queue_.run(key);
      case ActionKind::kSendActivation:
        return send(outgoing_outputs_.take(key), action.stage + 1);
      case ActionKind::kReceiveActivation:
        return receive(inputs_, key, work_.empty_input(action.stage, action.microbatch), action.stage - 1);
      case ActionKind::kSendGradient:
        return send(outgoing_gradients_.take(key), action.stage - 1);
      case ActionKind::kReceiveGradient:
        return receive(gradients_, key, work_.empty_input(action.stage + 1, action.microbatch), action.stage + 1);
    }
  }

  void forward(Key key) {
    const auto [stage, microbatch] = key;
    at::Tensor input;
    if (!is_first(stage)) input = inputs_.take(key).requires_grad_(keeps_passes_);
    at::Tensor output = work_.forward(stage, microbatch, input);
    if (!is_last(stage)) hand_over(output.detach(), stage + 1, microbatch, inputs_, outgoing_outputs_, key);
    if (keeps_passes_) passes_[key] = {.input = std::move(input), .output = std::move(output)};
  }

  void backward(Key key) {
    const auto [stage, microbatch] = key;
    const auto place = passes_.find(key);
    check(place != passes_.end(), "a backward pass follows its forward pass");
    const Pass pass = std::move(place->second);
    passes_.erase(place);
    pass.output.backward(is_last(stage) ? at::Tensor() : gradients_.take(key));
    if (is_first(stage)) return;
    hand_over(pass.input.grad(), stage - 1, microbatch, gradients_, outgoing_gradients_, key);
  }

  // To a stage of this rank directly, else to the action that sends it.
  void hand_over(at::Tensor tensor, int to_stage, int microbatch, Mailbox& local, Mailbox& outgoing, Key from) {
    const bool stays = rank_of(to_stage) == pipeline_.rank();
    (stays ? local : outgoing).put(stays ? Key{to_stage, microbatch} : from, {.tensor = std::move(tensor), .work = {}});
  }

  void send(const at::Tensor& tensor, int to_stage) {
    // Messages that have arrived need their tensors no longer.
    while (!sent_.empty() && sent_.front().work->is_done()) sent_.pop_front();
    Message message{.tensor = tensor.contiguous(), .work = {}};
    message.work = pipeline_.start_send(message.tensor, rank_of(to_stage));
    sent_.push_back(std::move(message));
  }

  void receive(Mailbox& mailbox, Key key, at::Tensor tensor, int from_stage) {
    Message message{.tensor = std::move(tensor), .work = {}};
    message.work = pipeline_.start_receive(message.tensor, rank_of(from_stage));
    mailbox.put(key, std::move(message));
  }

  const Schedule& schedule_;
  StageWork& work_;
  Communicator& pipeline_;
  WeightGradientQueue& queue_;
  bool keeps_passes_;
  std::optional<at::NoGradGuard> no_grad_;
  std::map<Key, Pass> passes_;
  Mailbox inputs_;              // of stages, by the stage that takes them
  Mailbox gradients_;           // of stages' outputs, likewise
  Mailbox outgoing_outputs_;    // by the stage that made them
  Mailbox outgoing_gradients_;  // likewise
  std::deque<Message> sent_;
};

}  // namespace

void ScheduleExecutor::run(const Schedule& schedule, StageWork& work) {
  if (!std::exchange(is_connected_, true)) pipeline_.connect_neighbours();
  const QueueGuard guard(queue_);
  Run run(schedule, work, pipeline_, queue_);
  for (const Action& action : schedule.actions.at(static_cast<std::size_t>(pipeline_.rank()))) {
    const TraceScope scope(trace_, "pipeline",
                           trace_ == nullptr ? ""
                                             : fmt::format("{} stage {} microbatch {}", enum_name(action.kind),
                                                           action.stage, action.microbatch));
    note_work(pipeline_.activity(), "{} of microbatch {} on stage {}", enum_name(action.kind), action.microbatch,
              action.stage);
    run.play(action);
  }
  note_work(pipeline_.activity(), "the end of a pass");
  run.finish();
}

}  // namespace collimate
