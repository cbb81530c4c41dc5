#include "mpi_progress.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <mpi.h>

namespace collimate::detail {

namespace {

using std::chrono::microseconds;

// Between two looks: short after a new message, longer for one that has long been expected.
constexpr microseconds kShortestPause{100};
constexpr microseconds kLongestPause{2000};

// A probe that finds nothing moves all messages of the process on. What fails is reported by the call that waits.
void look_in() {
  int found = 0;
  MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_SELF, &found, MPI_STATUS_IGNORE);
}

}  // namespace

void MpiHoldTraits::close(Raw raw) noexcept {
  const std::scoped_lock lock(raw->mutex_);
  --raw->num_held_;
}

MpiHold MpiProgress::hold() {
  {
    const std::scoped_lock lock(mutex_);
    ++num_held_;
    has_news_ = true;
    if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  changed_.notify_one();
  return MpiHold(this);
}

void MpiProgress::run(const std::stop_token& stop) {
  microseconds pause = kShortestPause;
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return num_held_ > 0; })) {
    pause = std::exchange(has_news_, false) ? kShortestPause : std::min(2 * pause, kLongestPause);
    lock.unlock();
    look_in();
    std::this_thread::sleep_for(pause);
    lock.lock();
  }
}

}  // namespace collimate::detail
