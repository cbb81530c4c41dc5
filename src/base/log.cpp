#include "collimate/base/log.hpp"

#include <string>

#include "collimate/base/printable.hpp"

namespace collimate {

void write_printable(std::FILE* stream, std::string_view text) {
  const std::string shown = printable(text);
  std::fwrite(shown.data(), 1, shown.size(), stream);
  std::fflush(stream);
}

void Log::line(std::string_view label, std::string_view text) const {
  const std::string tag = world_rank_ == 0 ? "" : fmt::format("[rank {}] ", world_rank_);
  // One write a line: ranks share the launcher's stream.
  write_printable(stream_, fmt::format("collimate: {}{}{}\n", tag, label, text));
}

}  // namespace collimate
