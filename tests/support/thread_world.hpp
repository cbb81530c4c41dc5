#pragma once
// Runs a function as a job whose ranks are threads.

#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <typeinfo>
#include <vector>

#include "collimate/base/error.hpp"
#include "collimate/comm/thread_world.hpp"

namespace collimate {

/// Whether an exception may only follow from another rank's: a group that has lost a connection throws Error itself.
inline bool may_be_consequence(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const Error& error) {
    return typeid(error) == typeid(Error);
  } catch (...) {
    return false;
  }
}

/// Calls `part` on `num_ranks` threads, each with its rank's factory, and waits for all. Throws what a rank threw; the
/// other threads then fail too, since the groups of the failed one close their connections, and theirs comes second.
inline void run_as_threads(int num_ranks, const std::function<void(GroupFactory&)>& part) {
  const ThreadWorld world(num_ranks);
  std::mutex mutex;
  std::exception_ptr first;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        part(*world.make_factory(rank));
      } catch (...) {
        const std::scoped_lock lock(mutex);
        if (!first || may_be_consequence(first)) first = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  if (first) std::rethrow_exception(first);
}

}  // namespace collimate
