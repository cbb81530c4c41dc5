#include "collimate/engine/start_watch.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/awake_clock.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/number_text.hpp"
#include "collimate/comm/config.hpp"

namespace collimate {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Who waits for others speaks later: the one that they wait for does first, and ends the job.
constexpr milliseconds kPoliteness = seconds(3);

}  // namespace

std::optional<seconds> start_limit(std::span<const std::string> overrides) {
  constexpr std::string_view kKey = "runtime.watchdog_seconds=";
  std::optional<std::int64_t> limit = RuntimeConfig{}.watchdog_seconds;
  for (const std::string_view text : overrides) {
    if (!text.starts_with(kKey)) continue;
    const std::string_view value = text.substr(kKey.size());
    const auto number = try_number<std::int64_t>(value);
    if (number && *number >= 1) limit = number;
    if (value == "null") limit.reset();
  }
  return limit ? std::optional(seconds(*limit)) : std::nullopt;
}

struct StartWatch::State {
  State(seconds limit, const ActivityLog& log, std::function<void(const std::string& message)> action)
      : end(std::move(action)),
        activity(log),
        most(limit),
        look(std::clamp<milliseconds>(most / 10, milliseconds(100), seconds(1))),
        clock(4 * look),
        thread([this](const std::stop_token& stop) { watch(stop); }) {}

  void watch(const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    while (!ends.wait_for(lock, stop, look, [] { return false; }) && !stop.stop_requested()) {
      const Activity last = activity.read();
      const auto age = clock.age(last.since);
      if (is_paused || age <= most + (last.waits_for_others() ? kPoliteness : milliseconds(0))) continue;
      const double seconds_ago = std::chrono::duration<double>(age).count();
      is_paused = true;
      end(fmt::format("{}: no progress for {:.1f} s while the job starts or ends: {}{}", host_name(), seconds_ago,
                      last.waits_for_others() ? last.waiting + ", in " : "", last.work));
    }
  }

  std::function<void(const std::string& message)> end;
  const ActivityLog& activity;
  milliseconds most;
  milliseconds look;
  AwakeClock clock;
  std::atomic<bool> is_paused = false;
  std::mutex mutex;
  std::condition_variable_any ends;
  std::jthread thread;  // last
};

StartWatch::StartWatch(std::optional<seconds> limit, const ActivityLog& activity,
                       std::function<void(const std::string& message)> end)
    : state_(limit ? std::make_unique<State>(*limit, activity, std::move(end)) : nullptr) {}

StartWatch::~StartWatch() = default;

void StartWatch::pause() noexcept {
  if (state_) state_->is_paused = true;
}

void StartWatch::resume() noexcept {
  if (state_) state_->is_paused = false;
}

}  // namespace collimate
