#pragma once
// What tensors really take, by libtorch's own report of its allocators: the measured side of plan/rank_memory.hpp.

#include <cstdint>
#include <memory>

#include <c10/core/Device.h>

namespace collimate {

/// Counts the bytes of tensors on one device that are allocated while it exists, by the thread that made it and by
/// what that thread starts in others. *Local.* One at a time; it ends on the thread where it began.
class MemoryMeter {
 public:
  explicit MemoryMeter(c10::Device device);
  ~MemoryMeter();
  MemoryMeter(const MemoryMeter&) = delete;
  MemoryMeter& operator=(const MemoryMeter&) = delete;

  [[nodiscard]] std::int64_t live_bytes() const;
  /// The most at a time, since the meter began or restart_peak() was called.
  [[nodiscard]] std::int64_t peak_bytes() const;
  void restart_peak();

 private:
  class Report;
  class Attachment;
  std::shared_ptr<Report> report_;
  std::unique_ptr<Attachment> attachment_;
};

}  // namespace collimate
