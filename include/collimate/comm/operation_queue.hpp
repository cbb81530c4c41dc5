#pragma once
// Operations of one group that go on while its rank computes, for backends that have only blocking ones.

#include <condition_variable>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "collimate/comm/work.hpp"

namespace collimate {

/// Carries operations out one after the other, in a thread of its own that begins with the first of them. Used by one
/// thread at a time.
class OperationQueue {
 public:
  /// An operation that may have to wait for ever must give up, by an Error, when a stop is requested.
  using Operation = std::function<void(const std::stop_token& stop)>;

  OperationQueue() = default;
  /// Gives up what is not done: only for a job that is ending.
  ~OperationQueue() = default;
  OperationQueue(const OperationQueue&) = delete;
  OperationQueue& operator=(const OperationQueue&) = delete;

  /// *Local.* The operation comes after all that were started before it. What it throws, waiting throws.
  [[nodiscard]] WorkHandle start(Operation operation);
  /// *Local.* Returns when all operations are done; whether they failed is not said here.
  void wait_until_idle();

 private:
  using Task = std::packaged_task<void(const std::stop_token&)>;
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Task> tasks_;  ///< the first one may be under way
  std::jthread thread_;     ///< last: ends before what it uses
};

}  // namespace collimate
