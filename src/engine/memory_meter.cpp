#include "collimate/engine/memory_meter.hpp"

#include <algorithm>
#include <mutex>

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

namespace collimate {

class MemoryMeter::Report final : public c10::MemoryReportingInfoBase {
 public:
  explicit Report(c10::Device device) : device_(device) {}

  void reportMemoryUsage(void* /*ptr*/, std::int64_t bytes, std::size_t /*total_allocated*/,
                         std::size_t /*total_reserved*/, c10::Device device) override {
    if (device.type() != device_.type()) return;
    const std::scoped_lock lock(mutex_);
    live_ += bytes;
    peak_ = std::max(peak_, live_);
  }
  [[nodiscard]] bool memoryProfilingEnabled() const override { return true; }

  [[nodiscard]] std::int64_t live() {
    const std::scoped_lock lock(mutex_);
    return live_;
  }
  [[nodiscard]] std::int64_t peak() {
    const std::scoped_lock lock(mutex_);
    return peak_;
  }
  void restart_peak() {
    const std::scoped_lock lock(mutex_);
    peak_ = live_;
  }

 private:
  c10::Device device_;
  std::mutex mutex_;
  std::int64_t live_ = 0;
  std::int64_t peak_ = 0;
};

// libtorch hands it on with the state of a thread.
class MemoryMeter::Attachment {
 public:
  explicit Attachment(const std::shared_ptr<Report>& report) : guard_(c10::DebugInfoKind::PROFILER_STATE, report) {}

 private:
  c10::DebugInfoGuard guard_;
};

MemoryMeter::MemoryMeter(c10::Device device)
    : report_(std::make_shared<Report>(device)), attachment_(std::make_unique<Attachment>(report_)) {}

MemoryMeter::~MemoryMeter() = default;

std::int64_t MemoryMeter::live_bytes() const { return report_->live(); }
std::int64_t MemoryMeter::peak_bytes() const { return report_->peak(); }
void MemoryMeter::restart_peak() { report_->restart_peak(); }

}  // namespace collimate
