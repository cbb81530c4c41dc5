#pragma once
// Signals that ask a job to stop, noticed at the next place where it can, instead of ending the process.

#include <chrono>
#include <optional>

namespace collimate {

/// What a signal asks for: SIGTERM, SIGUSR1 and SIGUSR2 come from a scheduler, SIGINT from the keyboard.
enum class StopKind { kNone, kPreemption, kInterrupt };

/// The first signal that this process has got.
struct ReceivedSignal {
  int number = 0;
  std::chrono::system_clock::time_point at;  ///< comparable between machines, as far as their clocks are
};

/// "SIGTERM"; "a signal" of a number that is none of them.
const char* signal_name(int number);
StopKind stop_kind(int signal_number);

/// While it lives, SIGINT, SIGTERM, SIGUSR1 and SIGUSR2 are noted; afterwards the former handlers are back. One at a
/// time in a process. Later signals change nothing. *Local.*
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// Safe to ask from any thread.
  [[nodiscard]] std::optional<ReceivedSignal> received() const noexcept;
};

}  // namespace collimate
