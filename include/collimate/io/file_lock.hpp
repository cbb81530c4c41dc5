#pragma once
// One writer at a time, over all processes and hosts that see a file system.

#include <string>

#include "collimate/base/unique_handle.hpp"

namespace collimate {

struct LockFileTraits {
  using Raw = int;
  static Raw null() { return -1; }
  static void close(Raw descriptor) noexcept;
};

/// Holds "<target>.lock". The kernel frees it when the process ends, however it does; a file that a killed process left
/// is taken over.
class FileLock {
 public:
  /// *Local.* Throws InputError that says who holds the lock, or why the file cannot be made.
  explicit FileLock(const std::string& target);
  ~FileLock();
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) noexcept = default;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  std::string path_;
  UniqueHandle<LockFileTraits> file_;
};

}  // namespace collimate
