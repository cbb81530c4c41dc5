#pragma once
// The job's keys and values, in the memory of rank 0.

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <string>

#include "collimate/comm/job_store/fields.hpp"

namespace collimate::detail {

/// Used by any thread. *Local.*
class StoreTable {
 public:
  /// The answer to any request. Nothing for one whose fields are not those of its operation (key_values.hpp).
  std::optional<Fields> apply(const StoreRequest& request);
  /// Whether `key` has a value, now or before `patience` is over.
  bool wait(const std::string& key, std::chrono::milliseconds patience);

 private:
  std::optional<Fields> change(const StoreRequest& request);
  Fields compare_set(const std::string& key, const std::string& expected, const std::string& desired);
  std::optional<Fields> add(const std::string& key, const std::string& amount);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::string> values_;
};

}  // namespace collimate::detail
