#pragma once
// What a lock file says of the process that holds it, and whether that process is still there. Private to src/io.

#include <cstdint>
#include <optional>
#include <string>

namespace collimate::detail {

/// The content of a lock file.
struct LockHolder {
  std::string host;
  std::int64_t process = 0;
  std::string since;          ///< local time
  std::string boot_id;        ///< of the kernel that the process runs on; empty: unknown
  std::string pid_namespace;  ///< in which `process` is its number
  std::int64_t started = 0;   ///< when the process was, in clock ticks since the boot
  bool has_flock = false;     ///< whether the file is locked by flock(2) too

  /// "process 12 on node7 since 2026-11-27 04:00:00".
  [[nodiscard]] std::string name() const;
  /// One JSON object on a line.
  [[nodiscard]] std::string text() const;
};

/// *Local.* This process, now.
LockHolder own_lock_holder(bool has_flock);

/// The holder that a lock file's text names; nothing where it is no such text.
std::optional<LockHolder> parse_lock_holder(const std::string& text);

enum class HolderState {
  kRuns,
  kEnded,
  kUnseen,  ///< on another host, or in another container: nothing can be said from here
};

/// *Local.* Looks for the holder among the processes of this host.
HolderState find_holder_state(const LockHolder& holder);

}  // namespace collimate::detail
