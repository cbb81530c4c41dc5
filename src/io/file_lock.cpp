#include "collimate/io/file_lock.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
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

namespace fs = std::filesystem;
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

/// Opens without following a link, of which nothing need be at the other end, and without waiting for a pipe's.
FileDescriptor open_lock(const std::string& path) {
  FileDescriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file && errno == ENOENT) return file;
  const bool is_link = !file && errno == ELOOP;
  if (!file && !is_link) detail::throw_system_error<InputError>(path, "cannot be read");
  struct stat status{};
  if (!is_link && fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode)) return file;
  throw InputError(fmt::format("{}: is not a file, as a lock is; delete it, or move it away", path));
}

std::optional<FoundLock> find_lock(const std::string& path) {
  FoundLock found{.file = open_lock(path), .text = {}};
  if (!found.file) return std::nullopt;
  std::array<char, 4096> buffer{};
  const ssize_t length = pread(found.file.get(), buffer.data(), buffer.size(), 0);
  if (length < 0) detail::throw_system_error<InputError>(path, "cannot be read");
  found.text.assign(buffer.data(), static_cast<std::size_t>(length));
  return found;
}

/// The lock file of a change of the lock file `path`.
std::string successor_of(const std::string& path) { return path + ".takeover"; }

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

  /// Removes what takers of `path` that were killed have left. What may be of another one stays: it does no harm.
  void remove_left(const std::string& path);

  /// Why the kernel gave no lock; empty: it gave one.
  [[nodiscard]] const std::string& missing() const noexcept { return missing_; }

 private:
  StagedLock stage(const std::string& path);
  KernelLock ask_kernel(int file, int operation, const std::string& path);
  HolderState state_of(const LockHolder& holder, const FoundLock& found, const std::string& path, bool has_flock);
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

HolderState LockTaker::state_of(const LockHolder& holder, const FoundLock& found, const std::string& path,
                                bool has_flock) {
  if (!has_flock || !holder.has_flock) return detail::find_holder_state(holder);
  // A shared lock: another process that only looks must not be taken for the holder.
  const bool is_free = ask_kernel(found.file.get(), LOCK_SH | LOCK_NB, path) == KernelLock::kTaken;
  return is_free ? HolderState::kEnded : HolderState::kRuns;
}

/// The holder of a lock file, which is refused as long as it may be there.
LockHolder LockTaker::require_ended(const FoundLock& found, const std::string& path, bool has_flock) {
  const auto holder = detail::parse_lock_holder(found.text);
  if (!holder) {
    throw InputError(
        fmt::format("{}: {} is there and does not say which process writes; once none does, delete it", target_, path));
  }
  const HolderState state = state_of(*holder, found, path, has_flock);
  if (state == HolderState::kEnded) return *holder;
  const std::string message = fmt::format("{}: is being written by {}", target_, holder->name());
  if (state == HolderState::kRuns) throw InputError(message + "; wait until it has ended, or end it");
  throw InputError(
      fmt::format("{}, which cannot be seen from {}; once it has ended, delete {}", message, host_name(), path));
}

/// Puts an own file in the place of one whose holder has ended. Whoever holds the lock file of this change alone may
/// make it. Nothing: somebody else was quicker.
FileDescriptor LockTaker::replace(const FoundLock& found, const std::string& path) {
  const std::string successor = successor_of(path);
  FileDescriptor file = take(successor);
  const auto current = find_lock(path);
  // A process that has given its lock back and has it again writes the same text within a second.
  if (!current || current->text != found.text || !is_named(found.file.get(), path)) {
    static_cast<void>(unlink(successor.c_str()));
    return {};
  }
  detail::rename_path(successor, path);
  return file;
}

void LockTaker::remove_left(const std::string& path) {
  const auto prefix_of = [](const std::string& lock) {
    return fs::path(detail::staging_prefix(lock, "staged")).filename().string();
  };
  const std::array prefixes{prefix_of(path), prefix_of(successor_of(path))};
  std::error_code failed;
  for (fs::directory_iterator entry(detail::parent_folder(path), failed); !failed && entry != fs::directory_iterator();
       entry.increment(failed)) {
    const std::string name = entry->path().filename().string();
    if (std::ranges::none_of(prefixes, [&](const std::string& prefix) { return name.starts_with(prefix); })) continue;
    try {
      const std::string left = entry->path().string();
      const auto found = find_lock(left);
      const auto holder = found ? detail::parse_lock_holder(found->text) : std::nullopt;
      if (!holder || state_of(*holder, *found, left, missing_.empty()) != HolderState::kEnded) continue;
      static_cast<void>(unlink(left.c_str()));
    } catch (const InputError&) {
      continue;
    }
  }
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
  taker.remove_left(path_);
  if (!taker.missing().empty()) log.info("{}: {}: this file alone keeps other writers out", path_, taker.missing());
}

FileLock::~FileLock() {
  if (file_ && is_named(file_.get(), path_)) static_cast<void>(unlink(path_.c_str()));
}

}  // namespace collimate
