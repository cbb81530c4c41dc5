#pragma once
// Between the thread that trains and one beside it: whether work that is under way may still count.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

namespace collimate {

/// A stretch of work changes nothing that is saved until its result is agreed on by all ranks.
enum class WorkKind { kStep, kEvaluation };

/// The stretches of one rank, numbered from 0 in the order in which all ranks make them. The thread that trains calls
/// open, close and pass in turns; another one may give a stretch up. *Local.*
class WorkGate {
 public:
  enum class Answer {
    kGivenUp,  ///< it never counts: close() does not return
    kAhead,    ///< it has not begun here
    kClosed,   ///< its result is being agreed on: the other ranks decide
    kPassed,   ///< it counts, on all ranks
  };
  struct View {
    std::int64_t number = -1;  ///< of the stretch under way; -1: none
    WorkKind kind = WorkKind::kStep;
    double seconds = 0;                   ///< since it began
    std::optional<double> usual_seconds;  ///< what the last one of its kind took
  };

  void open(WorkKind kind);
  /// Before this rank's part of the result goes to the others. Does not return when the stretch was given up: whoever
  /// did that ends the process.
  void close();
  /// When all ranks have the result.
  void pass();

  /// From now on the stretch never counts here, unless it is too late (kClosed, kPassed) or too early (kAhead).
  [[nodiscard]] Answer give_up(std::int64_t number);
  [[nodiscard]] View view() const;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kBetween, kOpen, kClosed, kGivenUp };

  [[nodiscard]] double seconds_open() const;

  mutable std::mutex mutex_;
  std::condition_variable never_;
  State state_ = State::kBetween;
  std::int64_t number_ = -1;  // of the last one that was opened
  WorkKind kind_ = WorkKind::kStep;
  Clock::time_point opened_;
  std::optional<double> usual_seconds_[2];  // by kind
};

}  // namespace collimate
