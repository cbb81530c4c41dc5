#include "collimate/base/log.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include "collimate/base/error.hpp"
#include "collimate/base/printable.hpp"

namespace collimate {

namespace {

/// Each line after the first begins with a space, as no message does.
std::string with_indented_lines(std::string_view text) {
  std::string lines;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool begins_line = i > 0 && text[i - 1] == '\n';
    if (begins_line && text[i] != ' ' && text[i] != '\n') lines += "  ";
    lines += text[i];
  }
  return lines;
}

}  // namespace

bool write_printable(std::FILE* stream, std::string_view text) {
  const std::string shown = printable(text);
  const bool is_taken = std::fwrite(shown.data(), 1, shown.size(), stream) == shown.size();
  return std::fflush(stream) == 0 && is_taken;
}

void write_answer(std::string_view text, std::FILE* stream) {
  if (write_printable(stream, text)) return;
  throw Error(fmt::format("standard output cannot be written: {}", std::generic_category().message(errno)));
}

void Log::line(std::string_view label, std::string_view text) const {
  const std::string tag = world_rank_ == 0 ? "" : fmt::format("[rank {}] ", world_rank_);
  // One write a line: ranks share the launcher's stream.
  static_cast<void>(
      write_printable(stream_, fmt::format("collimate: {}{}{}\n", tag, label, with_indented_lines(text))));
}

}  // namespace collimate
