#pragma once
// An operation that goes on while its rank does something else.

#include <memory>

namespace collimate {

/// One operation under way. The tensor it was given must stay alive and unchanged until `wait` returns. Destroying it
/// without waiting gives the operation up: only for a job that is ending.
class Work {
 public:
  Work() = default;
  virtual ~Work() = default;
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  /// *Local.* Whether the operation is known to be done here; never waits, and lets the backend make progress. A
  /// backend may not know before `wait`. Throws as wait does.
  [[nodiscard]] virtual bool is_done() = 0;
  /// *Local.* Returns when the operation is done here; further calls return at once. Throws Error when it failed.
  virtual void wait() = 0;
};

using WorkHandle = std::unique_ptr<Work>;

/// An operation that was done at once.
class DoneWork final : public Work {
 public:
  [[nodiscard]] bool is_done() override { return true; }
  void wait() override {}
};

}  // namespace collimate
