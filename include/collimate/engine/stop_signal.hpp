#pragma once
// An interrupt from the keyboard, noticed at the next step boundary instead of ending the process.

namespace collimate {

/// While it lives, SIGINT sets a flag; afterwards the former handler is back. One at a time in a process. *Local.*
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  [[nodiscard]] bool is_requested() const noexcept;
};

}  // namespace collimate
