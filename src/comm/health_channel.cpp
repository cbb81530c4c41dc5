#include "collimate/comm/health_channel.hpp"

#include <condition_variable>
#include <exception>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "c10d/c10d_call.hpp"
#include "c10d/stores.hpp"
#include "collimate/base/awake_clock.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/comm/agreement.hpp"
#include "heartbeat_board.hpp"

namespace collimate {

namespace {

using Clock = AwakeClock::Clock;
using std::chrono::milliseconds;

// Up to here every rank reads all heartbeats; in a larger job rank 0 and its deputy do.
constexpr int kMostListeners = 32;
// A thread that sleeps and comes this many beats late was stopped.
constexpr int kLateBeats = 3;

std::string beat_key(int world_rank) { return fmt::format("beat.{}", world_rank); }
std::string notice_key(const std::string& key) { return "notice." + key; }

}  // namespace

struct HealthChannel::State {
  State(JobStore& job_store, Communicator& group, ActivityLog& log, HealthOptions chosen)
      : store(job_store),
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
    beats->set(keys[static_cast<std::size_t>(world_rank)], detail::render_heartbeat(own));
    board.hear(static_cast<std::size_t>(world_rank), std::move(own));
  }

  void read_beats() {
    if (!listens) {
      beats->check({keys.front()});  // an answer, whatever it is
    } else {
      const auto all = beats->multiGet(keys);
      for (std::size_t rank = 0; rank < all.size(); ++rank) {
        board.hear(rank, detail::parse_heartbeat({all[rank].begin(), all[rank].end()}));
      }
    }
    board.note_answer();
  }

  // Returns where the store has gone: what is not heard any more is for `look` to judge.
  void beat(const std::stop_token& stop) {
    try {
      while (!sleep(stop, options.beat)) {
        send_beat();
        read_beats();
        if (options.on_beat) options.on_beat();
      }
    } catch (const std::exception&) {
      return;
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
  ActivityLog& activity;
  HealthOptions options;
  int world_rank;
  bool listens;
  std::string host = host_name();
  std::vector<std::string> keys;  // [world size]
  std::uint64_t num_beats = 0;
  AwakeClock clock;
  detail::HeartbeatBoard board;
  detail::Store beats;    // a connection of the thread that beats
  detail::Store notices;  // one of all others
  std::mutex mutex;
  std::condition_variable_any ends;
  std::jthread beating;  // last: they end before what they use
  std::jthread looking;
};

HealthChannel::HealthChannel(JobStore& store, Communicator& world, ActivityLog& activity, HealthOptions options)
    : state_(std::make_unique<State>(store, world, activity, std::move(options))) {
  run_agreed(world, [&] {
    state_->beats = store.shared().connect();
    state_->notices = store.shared().connect();
    state_->send_beat();
  });
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
  detail::call_c10d("publishing a notice", key,
                    [&] { return state_->notices->compareSet(notice_key(key), std::string(), value); });
}

std::optional<std::string> HealthChannel::find(const std::string& key) {
  return detail::call_c10d("looking for a notice", key, [&]() -> std::optional<std::string> {
    if (!state_->notices->check({notice_key(key)})) return std::nullopt;
    return state_->notices->get_to_str(notice_key(key));
  });
}

}  // namespace collimate
