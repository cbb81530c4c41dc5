#include "collimate/comm/failure_channel.hpp"

#include <chrono>
#include <exception>
#include <optional>
#include <thread>

#include <fmt/format.h>

#include "collimate/base/end_process.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/comm/failure_text.hpp"
#include "collimate/comm/job_store/key_values.hpp"

namespace collimate {

namespace {

// The first value of this key stays: a failure (failure_text.hpp), or kSuccess at the end of the job.
constexpr const char* kOutcome = "outcome";
constexpr const char* kSuccess = "success";
constexpr auto kTellPatience = std::chrono::seconds(5);

}  // namespace

// Rank 0's thread: sleeps until there is an outcome in the store, which is in its own process.
class FailureChannel::Listener {
 public:
  Listener(detail::KeyValues& values, OnFailure on_failure)
      : values_(values), on_failure_(std::move(on_failure)), thread_([this] { listen(); }) {}
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
    while (!values_.wait(kOutcome, std::chrono::hours(1))) {
    }
    const std::string outcome = values_.find(kOutcome).value_or("");
    if (outcome == kSuccess) return;
    const detail::Failure failure = detail::read_failure(outcome);
    on_failure_(failure.message, failure.code);
  }

  detail::KeyValues& values_;
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
  std::optional<Listener> listener;  // on rank 0

  // Whether rank 0 has heard of a failure, this one or an earlier one. Returns after kTellPatience.
  bool tell(const std::string& text, ExitCode code) const {
    const auto deadline = std::chrono::steady_clock::now() + kTellPatience;
    bool is_heard = false;
    try {
      detail::KeyValues& values = job_store.values();
      const std::string failure = detail::render_failure({.code = code, .message = text});
      // What is there as a failure, rank 0's listener tells: it is woken with the answer.
      is_heard = values.compare_set(kOutcome, "", failure, kTellPatience) != kSuccess;
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
    if (world.rank() == 0) state_->listener.emplace(store.values(), state_->on_failure);
  });
}

FailureChannel::~FailureChannel() {
  if (!state_->listener) return;
  if (std::uncaught_exceptions() == 0) state_->job_store.close();
  state_->job_store.values().put_first(kOutcome, kSuccess);
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
