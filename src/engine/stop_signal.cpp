#include "collimate/engine/stop_signal.hpp"

#include <array>
#include <atomic>
#include <csignal>
#include <ctime>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

constexpr std::array kStopSignals{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

// A signal handler can reach nothing but a static; they belong to the one StopSignal that lives.
std::atomic<int> first_signal{0};
std::atomic<std::int64_t> first_signal_ns{0};  // since the epoch; 0 until it is known
std::atomic<bool> installed{false};
std::array<struct sigaction, kStopSignals.size()> former{};

void note_signal(int number) {
  int none = 0;
  if (!first_signal.compare_exchange_strong(none, number)) return;
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);  // async-signal-safe, as std::chrono need not be
  first_signal_ns = std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace

const char* signal_name(int number) {
  switch (number) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGUSR1:
      return "SIGUSR1";
    case SIGUSR2:
      return "SIGUSR2";
    default:
      return "a signal";
  }
}

StopKind stop_kind(int signal_number) { return signal_number == SIGINT ? StopKind::kInterrupt : StopKind::kPreemption; }

StopSignal::StopSignal() {
  check(!installed.exchange(true), "a process has one stop signal at a time");
  first_signal = 0;
  first_signal_ns = 0;
  struct sigaction action{};
  action.sa_handler = note_signal;
  action.sa_flags = SA_RESTART;
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) sigaction(kStopSignals[i], &action, &former[i]);
}

StopSignal::~StopSignal() {
  for (std::size_t i = 0; i < kStopSignals.size(); ++i) sigaction(kStopSignals[i], &former[i], nullptr);
  installed = false;
}

std::optional<ReceivedSignal> StopSignal::received() const noexcept {
  using Clock = std::chrono::system_clock;
  const std::int64_t since_epoch = first_signal_ns;
  if (since_epoch == 0) return std::nullopt;
  const auto age = std::chrono::duration_cast<Clock::duration>(std::chrono::nanoseconds(since_epoch));
  return ReceivedSignal{.number = first_signal, .at = Clock::time_point(age)};
}

}  // namespace collimate
