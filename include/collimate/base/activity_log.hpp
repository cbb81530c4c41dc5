#pragma once
// What a rank did last and when, for the watchdog (engine/watchdog.hpp): one record, written by whoever does something,
// read by a thread that must never hold the writers up.

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace collimate {

enum class ActivityKind {
  kWork,     ///< the rank's own: it depends on no other rank
  kWaiting,  ///< an operation that ends when other ranks have done their part
};

/// What a rank's record says.
struct Activity {
  std::string work;            ///< the rank's own work: "forward of microbatch 3 on stage 1"; empty: none was noted
  std::string waiting;         ///< the operation inside of it that waits for other ranks; empty: it waits for none
  std::int64_t step = -1;      ///< updates made when the step began; -1: before the first
  std::uint64_t progress = 0;  ///< grows with every note and tick
  std::chrono::steady_clock::time_point since{};  ///< of the last note or tick

  [[nodiscard]] bool waits_for_others() const noexcept { return !waiting.empty(); }
  bool operator==(const Activity&) const = default;
};

/// The last action of one rank. Any thread may write and read; readers never block a writer. *Local.* A note costs some
/// tens of nanoseconds.
class ActivityLog {
 public:
  ActivityLog() { note("", ActivityKind::kWork); }

  /// The rank's last action is now `text`, of which the first 95 bytes count. Work takes the place of all that was
  /// noted; waiting stands beside the work that it is part of until `end_waiting` or the next work.
  void note(std::string_view text, ActivityKind kind);
  /// What was waited for is done; the work that it was part of goes on.
  void end_waiting();
  /// The number of the step that begins.
  void set_step(std::int64_t step) noexcept { step_.store(step, std::memory_order_relaxed); }
  /// Progress inside the last action, also of a thread behind it: renews its time.
  void tick() noexcept;

  /// What was noted last: never parts of two notes.
  [[nodiscard]] Activity read() const;

 private:
  static constexpr std::size_t kTextBytes = 96;
  // A text as words that may be read while they are written, with its length in the last byte.
  using Text = std::array<std::atomic<std::uint64_t>, kTextBytes / sizeof(std::uint64_t)>;

  static void store(Text& to, std::string_view text) noexcept;
  static std::string load(const Text& from);
  template <class Write>
  void write(const Write& part) noexcept;

  std::atomic<std::uint64_t> version_{0};  // odd while a writer is at it
  Text work_{};
  Text waiting_{};
  std::atomic<std::int64_t> step_{-1};
  std::atomic<std::uint64_t> progress_{0};
  std::atomic<std::chrono::steady_clock::rep> since_{0};
};

/// Notes work, with a text as fmt formats it; does nothing without a log.
template <class... Args>
void note_work(ActivityLog* log, fmt::format_string<Args...> text, Args&&... args) {
  if (log == nullptr) return;
  std::array<char, 96> buffer{};
  const auto end = fmt::format_to_n(buffer.data(), buffer.size(), text, std::forward<Args>(args)...);
  log->note({buffer.data(), std::min(end.size, buffer.size())}, ActivityKind::kWork);
}

/// Notes that the rank waits for others until it goes out of scope; does nothing without a log.
class WaitScope {
 public:
  WaitScope(ActivityLog* log, std::string_view text) : log_(log) {
    if (log_ != nullptr) log_->note(text, ActivityKind::kWaiting);
  }
  ~WaitScope() {
    if (log_ != nullptr) log_->end_waiting();
  }
  WaitScope(const WaitScope&) = delete;
  WaitScope& operator=(const WaitScope&) = delete;

 private:
  ActivityLog* log_;
};

}  // namespace collimate
