#include "collimate/comm/failure_channel.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "c10d/stores.hpp"
#include "collimate/base/end_process.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

// The first value of this key stays: a failure as "<exit code>\n<message>", or kSuccess at the end of the job.
constexpr const char* kOutcome = "outcome";
constexpr const char* kSuccess = "success";
// Rank 0 has read a failure.
constexpr const char* kHeard = "heard";
constexpr auto kPatience = std::chrono::seconds(5);

}  // namespace

// Rank 0's thread: sleeps in a read from the store's socket until there is an outcome.
class FailureChannel::Listener {
 public:
  Listener(detail::Store store, OnFailure on_failure)
      : store_(std::move(store)), on_failure_(std::move(on_failure)), thread_([this] { listen(); }) {}
  ~Listener() { thread_.join(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  void listen() {
    try {
      act_on_outcome();
    } catch (const std::exception& error) {  // without the channel a failure would leave the job waiting for ever
      on_failure_(fmt::format("the failure channel has broken: {}", error.what()), ExitCode::kFailure);
    }
  }

  void act_on_outcome() {
    const std::string outcome = wait_for_outcome();
    if (outcome == kSuccess) return;
    const std::size_t end_of_code = outcome.find('\n');
    const auto code = static_cast<ExitCode>(std::stoi(outcome.substr(0, end_of_code)));
    store_->set(kHeard, "");
    on_failure_(outcome.substr(end_of_code + 1), code);
  }

  std::string wait_for_outcome() {
    while (!detail::wait_for_key(store_, kOutcome, std::chrono::hours(1))) {
    }
    return store_->get_to_str(kOutcome);
  }

  detail::Store store_;
  OnFailure on_failure_;
  std::thread thread_;
};

struct FailureChannel::State {
  State(JobStore& store, const Communicator& world, OnFailure action)
      : job_store(store), on_failure(std::move(action)), world_rank(world.rank()), is_alone(world.size() == 1) {}

  JobStore& job_store;
  OnFailure on_failure;
  int world_rank;
  bool is_alone;
  detail::Store own;                 // a connection that nothing else waits on
  std::optional<Listener> listener;  // on rank 0

  // Whether rank 0 has heard of a failure, this one or an earlier one. Returns after kPatience.
  bool tell(const std::string& text, ExitCode code) const {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    bool is_heard = false;
    try {
      own->setTimeout(kPatience);
      own->compareSet(kOutcome, std::string(), fmt::format("{}\n{}", static_cast<int>(code), text));
      is_heard = detail::wait_for_key(own, kHeard, kPatience);
    } catch (const std::exception&) {  // no rank 0 any more
      return false;
    }
    std::this_thread::sleep_until(deadline);
    return is_heard;
  }
};

FailureChannel::FailureChannel(JobStore& store, Communicator& world, OnFailure on_failure)
    : state_(std::make_unique<State>(store, world, std::move(on_failure))) {
  if (state_->is_alone) return;
  run_agreed(world, [&] {
    state_->own = store.shared().connect();
    if (world.rank() == 0) state_->listener.emplace(store.shared().connect(), state_->on_failure);
  });
}

FailureChannel::~FailureChannel() {
  if (!state_->listener) return;
  if (std::uncaught_exceptions() == 0) state_->job_store.close();
  state_->own->compareSet(kOutcome, std::string(), std::string(kSuccess));
  state_->listener.reset();
}

void FailureChannel::report_and_wait(const std::string& message, ExitCode code) {
  if (state_->is_alone) end_job(message, code);
  end_job(fmt::format("rank {} ({}): {}", state_->world_rank, host_name(), message), code);
}

void FailureChannel::end_job(const std::string& message, ExitCode code) {
  if (state_->is_alone) {
    state_->on_failure(message, code);
  } else if (!state_->tell(message, code)) {
    Log(state_->world_rank).error("{}", message);
  }
  end_process(static_cast<int>(code));
}

}  // namespace collimate
