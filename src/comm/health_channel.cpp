#include "collimate/comm/health_channel.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/awake_clock.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/comm/job_store/key_values.hpp"
#include "heartbeat_board.hpp"

namespace collimate {

namespace {

using Clock = AwakeClock::Clock;
using std::chrono::milliseconds;

// Up to here every rank reads all heartbeats; in a larger job rank 0 and its deputy do.
constexpr int kMostListeners = 32;
// A thread that sleeps and comes this many beats late was stopped.
constexpr int kLateBeats = 3;
// For the store to answer one question of the thread that beats, which then asks again.
constexpr milliseconds kBeatPatience = std::chrono::seconds(10);

std::string beat_key(int world_rank) { return fmt::format("beat.{}", world_rank); }
std::string notice_key(const std::string& key) { return "notice." + key; }

}  // namespace

struct HealthChannel::State {
  State(JobStore& job_store, Communicator& group, ActivityLog& log, HealthOptions chosen)
      : store(job_store),
        values(job_store.values()),
        activity(log),
        options(std::move(chosen)),
        world_rank(group.rank()),
        listens(group.rank() <= 1 || group.size() <= kMostListeners),
        clock(kLateBeats * options.beat),
        board(group.size()) {
    for (int rank = 0; rank < group.size(); ++rank) keys.push_back(beat_key(rank));
  }

  [[nodiscard]] detail::Heartbeat own_beat() {
    const Activity now = activity.read();
    return {.number = ++num_beats,
            .host = host,
            .work = now.work,
            .waiting = now.waiting,
            .step = now.step,
            .progress = now.progress,
            .age = detail::in_milliseconds(clock.age(now.since))};
  }

  void send_beat() {
    detail::Heartbeat own = own_beat();
    values.set(keys[static_cast<std::size_t>(world_rank)], detail::render_heartbeat(own), kBeatPatience);
    board.hear(static_cast<std::size_t>(world_rank), std::move(own));
  }

  void read_beats() {
    if (!listens) {
      values.find(keys.front(), kBeatPatience);  // an answer, whatever it is
    } else {
      const auto all = values.find_all(keys, kBeatPatience);
      for (std::size_t rank = 0; rank < all.size(); ++rank) hear(rank, all[rank].value_or(""));
    }
    board.note_answer();
  }

  // A rank whose heartbeat cannot be read is not heard.
  void hear(std::size_t rank, const std::string& text) {
    if (auto beat = detail::try_read_heartbeat(text)) return board.hear(rank, std::move(*beat));
    if (std::exchange(has_noted_unreadable, true)) return;
    Log(world_rank)
        .warn("a heartbeat of rank {} cannot be read and does not count; further ones are not told of", rank);
  }

  // Where the store does not answer it goes on: what is not heard any more is for `look` to judge.
  void beat(const std::stop_token& stop) {
    while (!sleep(stop, options.beat)) {
      try {
        send_beat();
        read_beats();
        if (options.on_beat) options.on_beat();
      } catch (const std::exception&) {
        continue;
      }
    }
  }

  void look(const std::stop_token& stop) {
    while (!sleep(stop, options.beat / 2)) {
      JobHealth health = board.health(clock);
      health.world_rank = world_rank;
      health.listens = listens;
      RankHealth& own = health.ranks[static_cast<std::size_t>(world_rank)];
      own.activity = activity.read();
      own.action_age = detail::in_milliseconds(clock.age(own.activity.since));
      own.silent_for = milliseconds(0);
      options.on_look(health);
    }
  }

  // Whether the channel ends.
  bool sleep(const std::stop_token& stop, milliseconds duration) {
    std::unique_lock lock(mutex);
    ends.wait_for(lock, stop, duration, [] { return false; });
    return stop.stop_requested();
  }

  JobStore& store;
  detail::KeyValues& values;
  ActivityLog& activity;
  HealthOptions options;
  int world_rank;
  bool listens;
  std::string host = host_name();
  std::vector<std::string> keys;  // [world size]
  std::uint64_t num_beats = 0;
  AwakeClock clock;
  detail::HeartbeatBoard board;
  bool has_noted_unreadable = false;  // of the thread that beats
  std::mutex mutex;
  std::condition_variable_any ends;
  std::jthread beating;  // last: they end before what they use
  std::jthread looking;
};

HealthChannel::HealthChannel(JobStore& store, Communicator& world, ActivityLog& activity, HealthOptions options)
    : state_(std::make_unique<State>(store, world, activity, std::move(options))) {
  run_agreed(world, [&] { state_->send_beat(); });
  // Now every rank's first heartbeat is there to be read.
  state_->beating = std::jthread([state = state_.get()](const std::stop_token& stop) { state->beat(stop); });
  if (!state_->options.on_look) return;
  state_->looking = std::jthread([state = state_.get()](const std::stop_token& stop) { state->look(stop); });
}

HealthChannel::~HealthChannel() {
  if (std::uncaught_exceptions() == 0) {
    const WaitScope wait(&state_->activity, "the end of the other ranks");
    state_->store.close();
  }
  // They may use the channel up to now.
  state_->looking = {};
  state_->beating = {};
}

void HealthChannel::publish(const std::string& key, const std::string& value) {
  state_->values.put_first(notice_key(key), value);
}

std::optional<std::string> HealthChannel::find(const std::string& key) { return state_->values.find(notice_key(key)); }

}  // namespace collimate
