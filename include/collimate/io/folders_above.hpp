#pragma once
// The folders that an output needs, for every output alike.

#include <string>
#include <vector>

namespace collimate {

/// Makes the folders above one output that are missing. With this object those that nothing was put into go again, so
/// that a run which is refused leaves nothing behind.
class FoldersAbove {
 public:
  /// *Local.* Makes the folders durable. Throws InputError when one cannot be made.
  explicit FoldersAbove(const std::string& target);
  ~FoldersAbove();
  FoldersAbove(FoldersAbove&&) noexcept = default;
  FoldersAbove& operator=(FoldersAbove&&) = delete;

 private:
  FoldersAbove() = default;

  std::vector<std::string> made_;  ///< outermost first
};

}  // namespace collimate
