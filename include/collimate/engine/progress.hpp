#pragma once
// The progress of a run for a person: a line that rewrites itself on a terminal, a plain line now and then elsewhere.

#include <chrono>
#include <cstdio>
#include <string>

#include "collimate/engine/step_report.hpp"

namespace collimate {

/// Shows loss, accuracy, margin, pairs/s, tokens/s, MFU and the time left. Not owned: the stream.
class Progress final : public Observer {
 public:
  explicit Progress(std::FILE* stream);
  ~Progress() override;

  void on_step(const StepReport& report) override;
  void on_evaluation(const EvaluationReport& report) override;
  void on_checkpoint(const SaveReport& report) override;

 private:
  using Clock = std::chrono::steady_clock;

  void show(const std::string& line, bool keep);

  std::FILE* stream_;
  bool terminal_;
  bool line_open_ = false;
  double smoothed_step_seconds_ = 0;
  Clock::time_point last_plain_line_;
};

/// "1:02:03" or "4:05" from seconds.
std::string clock_text(double seconds);

}  // namespace collimate
