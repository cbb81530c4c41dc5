#include "collimate/base/activity_log.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <thread>

namespace collimate {

// A sequence lock: a reader whose version has changed reads again. The words are atomic, so that reading them meanwhile
// is no race; the fences keep them between the two versions.
template <class Write>
void ActivityLog::write(const Write& part) noexcept {
  std::uint64_t version = version_.load(std::memory_order_relaxed);
  while (version % 2 == 1 || !version_.compare_exchange_weak(version, version + 1, std::memory_order_acquire)) {
    if (version % 2 == 1) std::this_thread::yield();
    version = version_.load(std::memory_order_relaxed);
  }
  std::atomic_thread_fence(std::memory_order_release);
  part();
  tick();
  version_.store(version + 2, std::memory_order_release);
}

void ActivityLog::store(Text& to, std::string_view text) noexcept {
  std::array<char, kTextBytes> bytes{};
  const std::size_t length = std::min(text.size(), kTextBytes - 1);
  std::copy_n(text.begin(), length, bytes.begin());
  std::replace(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length), '\n', ' ');
  bytes.back() = static_cast<char>(length);
  const auto words = std::bit_cast<std::array<std::uint64_t, std::tuple_size_v<Text>>>(bytes);
  for (std::size_t i = 0; i < words.size(); ++i) to[i].store(words[i], std::memory_order_relaxed);
}

std::string ActivityLog::load(const Text& from) {
  std::array<std::uint64_t, std::tuple_size_v<Text>> words{};
  for (std::size_t i = 0; i < words.size(); ++i) words[i] = from[i].load(std::memory_order_relaxed);
  const auto bytes = std::bit_cast<std::array<char, kTextBytes>>(words);
  return {bytes.data(), std::min(static_cast<std::size_t>(bytes.back()), kTextBytes - 1)};
}

void ActivityLog::note(std::string_view text, ActivityKind kind) {
  write([&] {
    if (kind == ActivityKind::kWork) store(work_, text);
    store(waiting_, kind == ActivityKind::kWork ? std::string_view() : text);
  });
}

void ActivityLog::end_waiting() {
  write([&] { store(waiting_, {}); });
}

void ActivityLog::tick() noexcept {
  progress_.fetch_add(1, std::memory_order_relaxed);
  since_.store(std::chrono::steady_clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

Activity ActivityLog::read() const {
  while (true) {
    const std::uint64_t version = version_.load(std::memory_order_acquire);
    Activity activity{.work = load(work_),
                      .waiting = load(waiting_),
                      .step = step_.load(std::memory_order_relaxed),
                      .progress = progress_.load(std::memory_order_relaxed),
                      .since = std::chrono::steady_clock::time_point(
                          std::chrono::steady_clock::duration(since_.load(std::memory_order_relaxed)))};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (version % 2 == 0 && version_.load(std::memory_order_relaxed) == version) return activity;
    std::this_thread::yield();
  }
}

}  // namespace collimate
