#include "collimate/engine/stop_signal.hpp"

#include <atomic>
#include <csignal>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// A signal handler can reach nothing but a static; it belongs to the one StopSignal that lives.
std::atomic<bool> requested{false};
std::atomic<bool> installed{false};
struct sigaction former{};

void note_signal(int /*signal*/) { requested = true; }

}  // namespace

StopSignal::StopSignal() {
  check(!installed.exchange(true), "a process has one stop signal at a time");
  requested = false;
  struct sigaction action{};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &former);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &former, nullptr);
  installed = false;
}

bool StopSignal::is_requested() const noexcept { return requested; }

}  // namespace collimate
