#pragma once
// The order in which the ranks of a pipeline work, as data: made by a generator (generate.hpp), given its messages
// (lower.hpp), checked (validate.hpp), timed (simulate.hpp), drawn (render.hpp) and played by an executor. Pure.

#include <string>
#include <vector>

#include "collimate/config/enum_names.hpp"

namespace collimate {

/// What a rank does next.
enum class ActionKind {
  kForward,
  kBackward,  ///< input and weight gradients at once
  kInputGradient,
  kWeightGradient,
  kSendActivation,
  kReceiveActivation,
  kSendGradient,
  kReceiveGradient
};

template <>
inline constexpr auto enum_names<ActionKind> =
    std::to_array<EnumName<ActionKind>>({{ActionKind::kForward, "forward"},
                                         {ActionKind::kBackward, "backward"},
                                         {ActionKind::kInputGradient, "input_gradient"},
                                         {ActionKind::kWeightGradient, "weight_gradient"},
                                         {ActionKind::kSendActivation, "send_activation"},
                                         {ActionKind::kReceiveActivation, "receive_activation"},
                                         {ActionKind::kSendGradient, "send_gradient"},
                                         {ActionKind::kReceiveGradient, "receive_gradient"}});

/// One thing that a rank does. `stage` is always one of its own: kSendActivation sends the output of `stage` to
/// stage + 1, kReceiveActivation receives the input of `stage` from stage - 1, kSendGradient sends the gradient of the
/// input of `stage` to stage - 1, kReceiveGradient receives the gradient of the output of `stage` from stage + 1.
/// Receives are posted and do not wait; the compute action that needs the data does.
struct Action {
  ActionKind kind = ActionKind::kForward;
  int stage = 0;
  int microbatch = 0;
  bool operator==(const Action&) const = default;
};

/// What every rank of a pipeline does in one step.
struct Schedule {
  int num_microbatches = 0;
  std::vector<int> rank_of_stage;            ///< [num_stages], the pp_rank that holds a stage
  std::vector<std::vector<Action>> actions;  ///< [num pipeline ranks], in order of execution

  bool operator==(const Schedule&) const = default;
  [[nodiscard]] int num_stages() const { return static_cast<int>(rank_of_stage.size()); }
  [[nodiscard]] int num_ranks() const { return static_cast<int>(actions.size()); }
};

constexpr bool is_send(ActionKind kind) {
  return kind == ActionKind::kSendActivation || kind == ActionKind::kSendGradient;
}
constexpr bool is_receive(ActionKind kind) {
  return kind == ActionKind::kReceiveActivation || kind == ActionKind::kReceiveGradient;
}
constexpr bool is_compute(ActionKind kind) { return !is_send(kind) && !is_receive(kind); }

/// The stages that `pp_rank` holds, ascending. *Local.*
std::vector<int> stages_of_rank(const std::vector<int>& rank_of_stage, int pp_rank);

/// The pp_rank at the other end of a message. *Local.* Throws InvariantError if there is no stage at that end.
int peer_of(const Schedule& schedule, const Action& message);

/// "input gradient of stage 1, microbatch 2". *Local.*
std::string describe(const Action& action);

}  // namespace collimate
