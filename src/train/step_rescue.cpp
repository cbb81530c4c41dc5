#include "collimate/train/step_rescue.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <string>

#include <fmt/format.h>

#include "collimate/base/number_text.hpp"

namespace collimate {

namespace {

constexpr std::chrono::milliseconds kPause{200};
constexpr int kLooksBetweenQuestions = 5;  // of a rank that has got no signal: a question costs a message

// The first rank that finds its time too short names the work; a rank on which that can count no more says so.
constexpr const char* kNumberKey = "give up";
constexpr const char* kCertainKey = "given up";

}  // namespace

bool must_give_up(const GraceView& view) {
  // Twice what a save has taken: all ranks write at once now, and the disk may be busier. Not known: half of the time.
  const double for_saving = view.usual_saving ? 2.0 * *view.usual_saving + 1.0 : 0.5 * view.whole;
  const double for_work = view.left - std::min(for_saving, 0.75 * view.whole);
  if (for_work <= 0.0) return true;
  return view.usual_work && std::max(0.0, *view.usual_work - view.at_work) > for_work;
}

StepRescue::StepRescue(RescueParts parts)
    : parts_(std::move(parts)), thread_([this](const std::stop_token& stop) { watch(stop); }) {}

void StepRescue::watch(const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, stop, kPause, [] { return false; }) && !stop.stop_requested()) {
    try {
      look();
    } catch (const std::exception&) {  // the others cannot be reached now: if that stays so, the watchdog tells of it
      continue;
    }
  }
}

void StepRescue::look() {
  const bool is_asked = parts_.stop.own() == StopKind::kPreemption;
  if (is_asked) {
    const WorkGate::View work = parts_.gate.view();
    if (work.number >= 0 && is_hopeless(work)) parts_.stop.notices().publish(kNumberKey, std::to_string(work.number));
  }
  if (!is_asked && ++num_looks_ % kLooksBetweenQuestions != 0) return;
  const auto text = parts_.stop.notices().find(kNumberKey);
  const auto number = try_number<std::int64_t>(text.value_or(""));
  if (number && is_given_up(*number)) rescue();
}

bool StepRescue::is_hopeless(const WorkGate::View& work) {
  return must_give_up({.whole = parts_.stop.grace_seconds(),
                       .left = parts_.stop.grace_seconds() - parts_.stop.seconds_since(),
                       .at_work = work.seconds,
                       .usual_work = work.usual_seconds,
                       .usual_saving = parts_.usual_saving()});
}

// Its result counts when every rank has given its part to it, and never when one rank does not: of the ranks that have,
// each waits until it knows.
bool StepRescue::is_given_up(std::int64_t number) {
  switch (parts_.gate.give_up(number)) {
    case WorkGate::Answer::kGivenUp:
      parts_.stop.notices().publish(kCertainKey, "");
      return true;
    case WorkGate::Answer::kClosed:
      return parts_.stop.notices().find(kCertainKey).has_value();
    default:
      return false;
  }
}

void StepRescue::rescue() {
  try {
    parts_.save(parts_.gate.view().kind);
  } catch (const std::exception& error) {  // agreed on by all ranks
    if (parts_.log.world_rank() == 0) parts_.log.error("{}", error.what());
    parts_.end_job(ExitCode::kFailure);
  }
  parts_.end_job(ExitCode::kPreempted);
  std::abort();  // it does not return
}

}  // namespace collimate
