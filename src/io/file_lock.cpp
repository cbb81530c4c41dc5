#include "collimate/io/file_lock.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"
#include "lock_holder.hpp"
#include "staging.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

using detail::HolderState;
using detail::LockHolder;

constexpr const char* kLockingVariable = "HDF5_USE_FILE_LOCKING";

enum class KernelLock { kTaken, kHeldByOther, kMissing };

/// A lock file under a staging name: complete, durable and locked before others see it by its own name.
struct StagedLock {
  std::string staging;
  FileDescriptor file;
  bool has_flock = false;
};

/// A lock file that is there already.
struct FoundLock {
  FileDescriptor file;
  std::string text;
};

/// Whether an open file is the one of that name.
bool is_named(int file, const std::string& path) {
  struct stat own{};
  struct stat named{};
  return fstat(file, &own) == 0 && stat(path.c_str(), &named) == 0 && own.st_ino == named.st_ino &&
         own.st_dev == named.st_dev;
}

std::optional<FoundLock> find_lock(const std::string& path) {
  FoundLock found{.file = FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)), .text = {}};
  if (!found.file && errno == ENOENT) return std::nullopt;
  if (!found.file) detail::throw_system_error<InputError>(path, "cannot be read");
  std::array<char, 4096> buffer{};
  const ssize_t length = pread(found.file.get(), buffer.data(), buffer.size(), 0);
  if (length < 0) detail::throw_system_error<InputError>(path, "cannot be read");
  found.text.assign(buffer.data(), static_cast<std::size_t>(length));
  return found;
}

/// Gives the staged file its name, unless another file has it. Of several that try, on any hosts, one succeeds.
bool put_in_place(const StagedLock& own, const std::string& path) {
  if (link(own.staging.c_str(), path.c_str()) == 0) return true;
  int code = errno;
  struct stat status{};
  // Over NFS the answer to a link that was made may be lost.
  if (fstat(own.file.get(), &status) == 0 && status.st_nlink > 1) return true;
  if (code == EPERM || code == EOPNOTSUPP || code == ENOSYS) {  // a file system without hard links
    if (renameat2(AT_FDCWD, own.staging.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0) return true;
    code = errno;
  }
  if (code != EEXIST) detail::throw_system_error<InputError>(path, "cannot be made", code);
  return false;
}

/// Takes the lock of one target.
class LockTaker {
 public:
  LockTaker(std::string target, const Log& log, const LockCall& call)
      : target_(std::move(target)), log_(log), call_(call) {}

  /// The lock file `path`, held.
  FileDescriptor take(const std::string& path) {
    while (true) {
      StagedLock own = stage(path);
      const bool is_taken = put_in_place(own, path);
      static_cast<void>(unlink(own.staging.c_str()));
      if (is_taken) return std::move(own.file);
      const auto found = find_lock(path);
      if (!found) continue;  // given back meanwhile
      const LockHolder ended = require_ended(*found, path, own.has_flock);
      if (FileDescriptor file = replace(*found, path)) {
        log_.info("{}: taken over from {}, which has ended", path, ended.name());
        return file;
      }
    }
  }

  /// Why the kernel gave no lock; empty: it gave one.
  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }

 private:
  StagedLock stage(const std::string& path);
  KernelLock ask_kernel(int file, int operation, const std::string& path);
  LockHolder require_ended(const FoundLock& found, const std::string& path, bool has_flock);
  FileDescriptor replace(const FoundLock& found, const std::string& path);

  std::string target_;
  const Log& log_;
  const LockCall& call_;
  std::string missing_;
};

KernelLock LockTaker::ask_kernel(int file, int operation, const std::string& path) {
  if (!call_) {
    missing_ = fmt::format("{} turns locks off", kLockingVariable);
    return KernelLock::kMissing;
  }
  while (call_(file, operation) != 0) {
    if (errno == EINTR) continue;
    if (errno == EWOULDBLOCK) return KernelLock::kHeldByOther;
    if (errno != ENOSYS && errno != EOPNOTSUPP && errno != ENOLCK) {
      detail::throw_system_error<InputError>(path, "cannot be locked");
    }
    missing_ = fmt::format("the file system has no locks ({})", std::strerror(errno));
    return KernelLock::kMissing;
  }
  return KernelLock::kTaken;
}

StagedLock LockTaker::stage(const std::string& path) {
  StagedLock own;
  do {
    own.staging = detail::staging_name(path, "staged");
    own.file.reset(open(own.staging.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  } while (!own.file && errno == EEXIST);
  if (!own.file) detail::throw_system_error<InputError>(path, "cannot be made");
  try {
    const KernelLock lock = ask_kernel(own.file.get(), LOCK_EX | LOCK_NB, path);
    if (lock == KernelLock::kHeldByOther) throw InputError(fmt::format("{}: is locked by another process", path));
    own.has_flock = lock == KernelLock::kTaken;
    const std::string text = detail::own_lock_holder(own.has_flock).text();
    const ssize_t written = pwrite(own.file.get(), text.data(), text.size(), 0);
    // Durable, so that other hosts see it whole.
    if (written != std::ssize(text) || fsync(own.file.get()) != 0) {
      detail::throw_system_error<InputError>(path, "cannot be written");
    }
  } catch (const InputError&) {
    static_cast<void>(unlink(own.staging.c_str()));
    throw;
  }
  return own;
}

/// The holder of a lock file, which is refused as long as it may be there.
LockHolder LockTaker::require_ended(const FoundLock& found, const std::string& path, bool has_flock) {
  const auto holder = detail::parse_lock_holder(found.text);
  if (!holder) {
    throw InputError(
        fmt::format("{}: {} is there and does not say which process writes; once none does, delete it", target_, path));
  }
  HolderState state = HolderState::kUnseen;
  if (has_flock && holder->has_flock) {
    // A shared lock: another process that only looks must not be taken for the holder.
    const bool is_free = ask_kernel(found.file.get(), LOCK_SH | LOCK_NB, path) == KernelLock::kTaken;
    state = is_free ? HolderState::kEnded : HolderState::kRuns;
  } else {
    state = detail::find_holder_state(*holder);
  }
  if (state == HolderState::kEnded) return *holder;
  const std::string message = fmt::format("{}: is being written by {}", target_, holder->name());
  if (state == HolderState::kRuns) throw InputError(message + "; wait until it has ended, or end it");
  throw InputError(
      fmt::format("{}, which cannot be seen from {}; once it has ended, delete {}", message, host_name(), path));
}

/// Puts an own file in the place of one whose holder has ended. Whoever holds the lock file of this change alone may
/// make it. Nothing: somebody else was quicker.
FileDescriptor LockTaker::replace(const FoundLock& found, const std::string& path) {
  const std::string successor = path + ".takeover";
  FileDescriptor file = take(successor);
  const auto current = find_lock(path);
  if (!current || current->text != found.text) {
    static_cast<void>(unlink(successor.c_str()));
    return {};
  }
  detail::rename_path(successor, path);
  return file;
}

}  // namespace

LockCall system_lock_call() {
  const char* const value = std::getenv(kLockingVariable);
  const std::string_view wanted = value == nullptr ? "" : value;
  return wanted == "FALSE" || wanted == "0" ? LockCall() : LockCall(::flock);
}

FileLock::FileLock(const std::string& target, const Log& log, const LockCall& call)
    : folders_(target), path_(target + ".lock") {
  LockTaker taker(target, log, call);
  file_ = taker.take(path_);
  if (!taker.missing().empty()) log.info("{}: {}: this file alone keeps other writers out", path_, taker.missing());
}

FileLock::~FileLock() {
  if (file_ && is_named(file_.get(), path_)) static_cast<void>(unlink(path_.c_str()));
}

}  // namespace collimate
