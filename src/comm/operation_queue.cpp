#include "collimate/comm/operation_queue.hpp"

#include <chrono>
#include <utility>

#include <ATen/ThreadLocalState.h>

namespace collimate {

namespace {

class QueuedWork final : public Work {
 public:
  explicit QueuedWork(std::future<void> result) : result_(std::move(result)) {}

  [[nodiscard]] bool is_done() override {
    if (result_.valid() && result_.wait_for(std::chrono::seconds(0)) != std::future_status::ready) return false;
    wait();
    return true;
  }
  void wait() override {
    if (result_.valid()) result_.get();
  }

 private:
  std::future<void> result_;
};

}  // namespace

WorkHandle OperationQueue::start(Operation operation) {
  // libtorch's state of the caller's thread goes with it, so that what it allocates and frees is counted as the
  // caller's.
  Task task([state = at::ThreadLocalState(), operation = std::move(operation)](const std::stop_token& stop) mutable {
    const at::ThreadLocalStateGuard guard(state);
    const Operation own = std::move(operation);
    own(stop);
  });
  auto work = std::make_unique<QueuedWork>(task.get_future());
  {
    const std::scoped_lock lock(mutex_);
    tasks_.push_back(std::move(task));
    if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
  }
  changed_.notify_all();
  return work;
}

void OperationQueue::wait_until_idle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return tasks_.empty(); });
}

void OperationQueue::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [&] { return !tasks_.empty(); }) && !stop.stop_requested()) {
    Task& task = tasks_.front();  // others are added behind it
    lock.unlock();
    task(stop);
    lock.lock();
    tasks_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace collimate
