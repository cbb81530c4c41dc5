#pragma once
// What a rank did and when: a list of spans, for `runtime.trace` (engine/trace_file.hpp writes them).

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace collimate {

/// One thing that took time.
struct TraceSpan {
  const char* category;  ///< a literal: "pipeline", "comm", "step"
  std::string name;
  std::int64_t begin_us = 0;  ///< since the recorder was made
  std::int64_t duration_us = 0;
  std::int64_t sent_bytes = -1;  ///< of a communication; -1: none
};

/// Collects the spans of one rank. Used by one thread. *Local.*
class TraceRecorder {
 public:
  [[nodiscard]] std::int64_t now_us() const {
    return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - start_).count();
  }
  void add(TraceSpan span) { spans_.push_back(std::move(span)); }
  [[nodiscard]] const std::vector<TraceSpan>& spans() const noexcept { return spans_; }
  /// From now on times count from here: called by all ranks after one barrier, so that their times fit together.
  void restart_clock() { start_ = Clock::now(); }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point start_ = Clock::now();
  std::vector<TraceSpan> spans_;
};

/// Records the time until it goes out of scope; does nothing without a recorder.
class TraceScope {
 public:
  TraceScope(TraceRecorder* recorder, const char* category, std::string name, std::int64_t sent_bytes = -1)
      : recorder_(recorder) {
    if (recorder_ == nullptr) return;
    span_ = {.category = category, .name = std::move(name), .begin_us = recorder_->now_us(), .sent_bytes = sent_bytes};
  }
  ~TraceScope() {
    if (recorder_ == nullptr) return;
    span_.duration_us = recorder_->now_us() - span_.begin_us;
    recorder_->add(std::move(span_));
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;

 private:
  TraceRecorder* recorder_;
  TraceSpan span_{};
};

}  // namespace collimate
