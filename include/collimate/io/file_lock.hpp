#pragma once
// One writer at a time, over all processes and hosts that see a file system, whether or not it has locks of its own.

#include <functional>
#include <string>

#include "collimate/base/log.hpp"
#include "collimate/io/file_descriptor.hpp"
#include "collimate/io/folders_above.hpp"

namespace collimate {

/// Locks an open file as flock(2) does, with errno when it returns -1. Empty: the kernel is not asked.
using LockCall = std::function<int(int file, int operation)>;

/// *Local.* flock, or an empty call where the environment variable HDF5_USE_FILE_LOCKING is FALSE or 0. That variable
/// is HDF5's own; sites set it where file systems have no locks.
LockCall system_lock_call();

/// Holds the lock file "<target>.lock", which names its holder (docs/formats.md). Where the kernel has locks, the file
/// is locked too, and one that a killed process left is taken over from any host. Where it has none, the file alone is
/// the lock: it is taken over when its holder ran on this host and has ended.
class FileLock {
 public:
  /// *Local.* Makes the folders above. Tells `log` when the kernel has no locks, and whose file was taken over. Throws
  /// InputError that says who holds the lock, or why it cannot be had.
  FileLock(const std::string& target, const Log& log, const LockCall& call = system_lock_call());
  ~FileLock();
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;

 private:
  FoldersAbove folders_;
  std::string path_;
  FileDescriptor file_;
};

}  // namespace collimate
