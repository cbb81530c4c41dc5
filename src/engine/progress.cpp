#include "collimate/engine/progress.hpp"

#include <cmath>

#include <fmt/format.h>
#include <unistd.h>

#include "collimate/base/log.hpp"

namespace collimate {

namespace {

constexpr std::chrono::seconds kPlainLineInterval{15};

// " name value" for each metric that there is.
std::string shown(const NamedMetrics& metrics, const std::string& prefix) {
  std::string text;
  const auto add = [&](const char* label, const char* name, double scale, int digits) {
    const double value = find_metric(metrics, prefix + name);
    if (!std::isnan(value)) text += fmt::format("  {} {:.{}f}", label, value * scale, digits);
  };
  add("loss", "loss", 1, 4);
  add("accuracy", "rewards/accuracies", 1, 3);
  add("margin", "rewards/margins", 1, 3);
  add("pairs/s", "pairs_per_second", 1, 2);
  add("tokens/s", "tokens_per_second", 1, 0);
  add("MFU %", "mfu", 100, 1);
  return text;
}

}  // namespace

std::string clock_text(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(std::max(0.0, seconds)));
  const std::int64_t hours = whole / 3600;
  const std::int64_t minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

Progress::Progress(std::FILE* stream) : stream_(stream), terminal_(isatty(fileno(stream)) == 1) {}

Progress::~Progress() {
  if (line_open_) std::fputc('\n', stream_);
}

void Progress::on_step(const StepReport& report) {
  const double seconds = find_metric(report.timing, "step_seconds");
  smoothed_step_seconds_ = smoothed_step_seconds_ == 0 ? seconds : 0.9 * smoothed_step_seconds_ + 0.1 * seconds;
  const double left = smoothed_step_seconds_ * static_cast<double>(report.num_steps - report.step);
  const std::string line = fmt::format("step {}/{}{}{}  left {}", report.step, report.num_steps,
                                       shown(report.metrics, ""), shown(report.timing, ""), clock_text(left));
  const bool first_or_last = report.step == 1 || report.step == report.num_steps;
  if (terminal_ || first_or_last || Clock::now() - last_plain_line_ >= kPlainLineInterval) show(line, false);
}

void Progress::on_evaluation(const EvaluationReport& report) {
  show(fmt::format("evaluation at step {}{}", report.step, shown(report.metrics, "eval_")), true);
}

void Progress::on_checkpoint(const SaveReport& report) {
  std::string waited = fmt::format("training waited {:.3f} s for it", report.stall_seconds);
  if (report.awaited_bytes > 0) {
    waited += fmt::format(", since checkpoint.buffer_bytes does not hold {} bytes more", report.awaited_bytes);
  }
  show(fmt::format("checkpoint of step {} in {:.3f} s, {}", report.step, report.seconds, waited), true);
}

void Progress::show(const std::string& line, bool keep) {
  const bool rewrite = terminal_ && !keep;
  if (terminal_) std::fputs("\r\x1b[K", stream_);
  static_cast<void>(write_printable(stream_, rewrite ? line : line + "\n"));
  line_open_ = rewrite;
  last_plain_line_ = Clock::now();
}

}  // namespace collimate
