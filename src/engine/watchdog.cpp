#include "collimate/engine/watchdog.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/thread_stacks.hpp"
#include "collimate/engine/watchdog_rule.hpp"

namespace collimate {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kVerdict = "watchdog.verdict";
constexpr milliseconds kLongestBeat = seconds(1);
// For the threads of one process to say where they are, and for the file system to take it.
constexpr milliseconds kStackPatience = seconds(1);
constexpr milliseconds kFilePatience = seconds(2);
// For all ranks to hear of the verdict and to write their stacks.
constexpr milliseconds kRanksPatience = seconds(3);
// For whatever is to end the job.
constexpr milliseconds kEndPatience = seconds(15);

std::string written_key(std::size_t rank) { return fmt::format("watchdog.stacks.{}", rank); }

milliseconds beat_for(seconds limit) { return std::clamp(milliseconds(limit) / 10, milliseconds(100), kLongestBeat); }

void write_stacks(ThreadStacks& stacks, const std::filesystem::path& folder, int world_rank) {
  std::error_code error;
  const std::string text = stacks.describe(kStackPatience);
  std::filesystem::create_directories(folder, error);
  std::ofstream file(folder / fmt::format("rank_{:05}.txt", world_rank));
  file << fmt::format("rank {} ({})\n\n", world_rank, host_name()) << text;
}

}  // namespace

void end_process_after(milliseconds patience) {
  std::thread([patience] {
    std::this_thread::sleep_for(patience);
    std::_Exit(static_cast<int>(ExitCode::kFailure));
  }).detach();
}

struct Watchdog::State {
  State(Communicator& world, WatchdogOptions chosen) : options(std::move(chosen)), world_rank(world.rank()) {
    if (options.limit) limits = WatchdogLimits::of(*options.limit);
  }

  // By the thread that looks: it never waits for the store before the job is stuck.
  void look(const JobHealth& health) {
    if (is_ending) return;
    const auto stuck = world_rank == 0 ? find_stuck(health, limits) : std::nullopt;
    if (stuck) return end(describe_stuck(*stuck, health, limits), health);
    if (world_rank > 0 && health.store_silent_for > limits.silence) leave_stacks();
    const auto lost = find_lost_store(health, limits);
    if (!lost) return;
    is_ending = true;
    end_process_after(kEndPatience);
    options.end_without_rank_0(describe_stuck(*lost, health, limits) + place_of_stacks());
  }

  // On rank 0, which never comes back from it.
  void end(const std::string& report, const JobHealth& health) {
    is_ending = true;
    end_process_after(kEndPatience);
    const auto deadline = Clock::now() + kRanksPatience;
    channel.load()->publish(kVerdict, report);
    leave_stacks();
    for (std::size_t rank = 1; rank < health.ranks.size(); ++rank) {
      if (health.ranks[rank].silent_for > limits.silence) continue;
      while (Clock::now() < deadline && !channel.load()->find(written_key(rank))) {
        std::this_thread::sleep_for(milliseconds(10));
      }
    }
    options.end_job(report + place_of_stacks());
  }

  // By the thread that beats.
  void answer_verdict() {
    if (is_ending || channel == nullptr || world_rank == 0 || !channel.load()->find(kVerdict)) return;
    is_ending = true;
    end_process_after(kEndPatience);
    leave_stacks();
    channel.load()->publish(written_key(static_cast<std::size_t>(world_rank)), "");
  }

  // In a thread of its own: the file system may be what hangs.
  void leave_stacks() {
    if (has_left_stacks.exchange(true)) return;
    std::promise<void> done;
    std::future<void> is_done = done.get_future();
    std::thread([this, done = std::move(done)]() mutable {
      try {
        write_stacks(stacks, options.stacks_folder, world_rank);
        done.set_value();
      } catch (const std::exception&) {
        done.set_exception(std::current_exception());  // nobody asks: the report does without
      }
    }).detach();
    is_done.wait_for(kFilePatience);
  }

  [[nodiscard]] std::string place_of_stacks() const {
    return fmt::format("\n  stacks: {}", (options.stacks_folder / "rank_*.txt").string());
  }

  WatchdogOptions options;
  WatchdogLimits limits;
  int world_rank;
  ThreadStacks stacks;
  std::atomic<bool> is_ending = false;
  std::atomic<bool> has_left_stacks = false;
  std::atomic<HealthChannel*> channel = nullptr;  // null until it is made
  std::optional<HealthChannel> own_channel;       // last: its threads end before what they use
};

Watchdog::Watchdog(JobStore& store, Communicator& world, ActivityLog& activity, WatchdogOptions options)
    : state_(std::make_unique<State>(world, std::move(options))) {
  State& state = *state_;
  HealthOptions health;
  if (state.options.limit) {
    health.beat = beat_for(*state.options.limit);
    health.on_look = [&state](const JobHealth& known) {
      if (state.channel != nullptr) state.look(known);
    };
    health.on_beat = [&state] { state.answer_verdict(); };
  }
  state.own_channel.emplace(store, world, activity, std::move(health));
  state.channel = &*state.own_channel;
}

Watchdog::~Watchdog() = default;

HealthChannel& Watchdog::channel() noexcept { return *state_->channel; }

}  // namespace collimate
