#pragma once
// Where every thread of this process is: for a report about a job that hangs.

#include <chrono>
#include <memory>
#include <string>

namespace collimate {

/// Can have every thread of the process say where it is, by a real-time signal. Made once by the program, while all is
/// well; as long as it lives the signal does nothing else. *Local.*
class ThreadStacks {
 public:
  /// Throws Error when the signal cannot be handled.
  ThreadStacks();
  ~ThreadStacks();
  ThreadStacks(const ThreadStacks&) = delete;
  ThreadStacks& operator=(const ThreadStacks&) = delete;

  /// Number, name and stack of each thread but the calling one, as text. A thread that does not answer within
  /// `patience` (all of them together) is named as such. The other threads go on; a system call of theirs may end
  /// early.
  [[nodiscard]] std::string describe(std::chrono::milliseconds patience);

 private:
  struct Slots;
  // Where threads put their stacks: kept to the end, for one that answers late.
  std::unique_ptr<Slots> slots_;
};

}  // namespace collimate
