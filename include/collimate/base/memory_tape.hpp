#pragma once
// Memory over time, as a formula: what the parts of a run hold is played onto a tape, in the order of the run. Pure.

#include <array>
#include <cstddef>
#include <cstdint>

namespace collimate {

/// What memory is for.
enum class MemoryKind { kWeights, kGradients, kOptimizer, kActivations, kHead, kCommunication };
inline constexpr std::size_t kNumMemoryKinds = 6;

/// Bytes by kind.
struct MemoryUse {
  std::array<std::int64_t, kNumMemoryKinds> bytes{};

  [[nodiscard]] std::int64_t& operator[](MemoryKind kind) { return bytes[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::int64_t operator[](MemoryKind kind) const { return bytes[static_cast<std::size_t>(kind)]; }
  [[nodiscard]] std::int64_t total() const {
    std::int64_t sum = 0;
    for (const std::int64_t own : bytes) sum += own;
    return sum;
  }
  bool operator==(const MemoryUse&) const = default;
};

/// What is held at each moment, and what was at the worst one.
class MemoryTape {
 public:
  void hold(MemoryKind kind, std::int64_t bytes) {
    live_[kind] += bytes;
    total_ += bytes;
    if (total_ <= peak_total_) return;
    peak_total_ = total_;
    peak_ = live_;
  }
  void release(MemoryKind kind, std::int64_t bytes) {
    live_[kind] -= bytes;
    total_ -= bytes;
  }
  /// Held for a moment.
  void use(MemoryKind kind, std::int64_t bytes) {
    hold(kind, bytes);
    release(kind, bytes);
  }

  [[nodiscard]] const MemoryUse& live() const { return live_; }
  /// At the first moment at which most was held.
  [[nodiscard]] const MemoryUse& peak() const { return peak_; }

 private:
  MemoryUse live_;
  MemoryUse peak_;
  std::int64_t total_ = 0;
  std::int64_t peak_total_ = 0;
};

}  // namespace collimate
