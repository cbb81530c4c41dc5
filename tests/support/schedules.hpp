#pragma once
// Schedules for tests, and a short way to write their lists down.

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/lower.hpp"

namespace collimate {

inline constexpr ScheduleType kAllScheduleTypes[] = {
    ScheduleType::kGpipe, ScheduleType::k1f1b, ScheduleType::kInterleaved, ScheduleType::kZbH1, ScheduleType::kZbv};

/// The stages a rank that `type` takes; interleaved takes any number.
inline int virtual_stages_for(ScheduleType type, int interleaved) {
  if (type == ScheduleType::kInterleaved) return interleaved;
  return type == ScheduleType::kZbv ? 2 : 1;
}

inline Schedule lowered_schedule(const ScheduleOptions& options) { return add_messages(generate_schedule(options)); }

/// "F0.1 SA0.1": kind, stage, microbatch, separated by blanks. B, I and W are the backward kinds; S and R send and
/// receive an activation (A) or a gradient (G).
inline std::string short_form(const std::vector<Action>& actions) {
  constexpr std::string_view kKinds[] = {"F", "B", "I", "W", "SA", "RA", "SG", "RG"};
  std::string text;
  for (const Action& action : actions) {
    text += fmt::format("{}{}{}.{}", text.empty() ? "" : " ", kKinds[static_cast<int>(action.kind)], action.stage,
                        action.microbatch);
  }
  return text;
}

}  // namespace collimate
