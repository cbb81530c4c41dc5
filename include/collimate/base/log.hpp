#pragma once
// Lines for the person at the terminal or the job's log, tagged with the rank when it is not rank 0.

#include <cstdio>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace collimate {

/// Writes whole lines to one stream. `info` speaks on rank 0 alone; `warn` and `error` on every rank. *Local.* Not
/// owned: the stream must outlive the log.
class Log {
 public:
  explicit Log(int world_rank = 0, std::FILE* stream = stderr) : world_rank_(world_rank), stream_(stream) {}

  template <class... Args>
  void info(fmt::format_string<Args...> text, Args&&... args) const {
    if (world_rank_ == 0) line("", fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void warn(fmt::format_string<Args...> text, Args&&... args) const {
    line("warning: ", fmt::format(text, std::forward<Args>(args)...));
  }
  template <class... Args>
  void error(fmt::format_string<Args...> text, Args&&... args) const {
    line("error: ", fmt::format(text, std::forward<Args>(args)...));
  }
  [[nodiscard]] int world_rank() const noexcept { return world_rank_; }

 private:
  void line(std::string_view label, std::string_view text) const;

  int world_rank_;
  std::FILE* stream_;
};

}  // namespace collimate
