#include "collimate/train/work_gate.hpp"

#include "collimate/base/error.hpp"

namespace collimate {

void WorkGate::open(WorkKind kind) {
  const std::scoped_lock lock(mutex_);
  check(state_ == State::kBetween, "work begins when the work before has passed");
  state_ = State::kOpen;
  kind_ = kind;
  ++number_;
  opened_ = Clock::now();
}

void WorkGate::close() {
  std::unique_lock lock(mutex_);
  never_.wait(lock, [&] { return state_ != State::kGivenUp; });
  state_ = State::kClosed;
}

void WorkGate::pass() {
  const std::scoped_lock lock(mutex_);
  usual_seconds_[static_cast<std::size_t>(kind_)] = seconds_open();
  state_ = State::kBetween;
}

WorkGate::Answer WorkGate::give_up(std::int64_t number) {
  const std::scoped_lock lock(mutex_);
  if (number > number_) return Answer::kAhead;
  if (number < number_ || state_ == State::kBetween) return Answer::kPassed;
  if (state_ == State::kClosed) return Answer::kClosed;
  state_ = State::kGivenUp;
  return Answer::kGivenUp;
}

WorkGate::View WorkGate::view() const {
  const std::scoped_lock lock(mutex_);
  if (state_ == State::kBetween) return {};
  return {.number = number_,
          .kind = kind_,
          .seconds = seconds_open(),
          .usual_seconds = usual_seconds_[static_cast<std::size_t>(kind_)]};
}

double WorkGate::seconds_open() const { return std::chrono::duration<double>(Clock::now() - opened_).count(); }

}  // namespace collimate
