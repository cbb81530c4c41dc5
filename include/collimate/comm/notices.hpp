#pragma once
// Short texts that any rank leaves for all the others, without MPI: it may be blocked, and threads beside the main one
// have something to say too.

#include <optional>
#include <string>

namespace collimate {

/// Texts under keys; the first text of a key stays. Used by any thread.
class Notices {
 public:
  Notices() = default;
  virtual ~Notices() = default;
  Notices(const Notices&) = delete;
  Notices& operator=(const Notices&) = delete;

  /// *Local.* Every rank that looks from now on finds the text. Throws Error when the others cannot be reached.
  virtual void publish(const std::string& key, const std::string& text) = 0;
  /// *Local.* Never waits for another rank to publish. Throws Error likewise.
  [[nodiscard]] virtual std::optional<std::string> find(const std::string& key) = 0;
};

}  // namespace collimate
