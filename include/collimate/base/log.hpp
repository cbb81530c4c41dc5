#pragma once
// Text for the person at the terminal or the job's log. All of it goes out here, escaped: it may quote foreign files.

#include <cstdio>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace collimate {

/// Writes `text`, escaped by `printable`, in one write, and flushes; whether all of it went out. *Local.*
[[nodiscard]] bool write_printable(std::FILE* stream, std::string_view text);

/// A verb's answer, or a part of it. *Local.* Throws Error where not all of it goes out: whoever reads it must not take
/// a part, or nothing, for the answer.
void write_answer(std::string_view text, std::FILE* stream = stdout);

/// The same, formatted, on stdout. *Local.*
template <class... Args>
void print_answer(fmt::format_string<Args...> text, Args&&... args) {
  write_answer(fmt::format(text, std::forward<Args>(args)...));
}

/// Writes messages to one stream, tagged with the rank when it is not rank 0. `info` speaks on rank 0 alone; `warn` and
/// `error` on every rank. Lines after the first are indented, so that what a message quotes cannot look like another
/// one. What cannot be written is lost. *Local.* Not owned: the stream must outlive the log.
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
