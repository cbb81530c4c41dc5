#pragma once
// Notices without a job: of the threads of one process.

#include <map>
#include <mutex>

#include "collimate/comm/notices.hpp"

namespace collimate {

/// Keeps the texts itself.
class LocalNotices final : public Notices {
 public:
  void publish(const std::string& key, const std::string& text) override {
    const std::scoped_lock lock(mutex_);
    texts_.emplace(key, text);
  }
  [[nodiscard]] std::optional<std::string> find(const std::string& key) override {
    const std::scoped_lock lock(mutex_);
    const auto found = texts_.find(key);
    return found == texts_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> texts_;
};

}  // namespace collimate
