#include "collimate/comm/operation_queue.hpp"

#include <chrono>

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
  Task task(std::move(operation));
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
