#include "collimate/base/log.hpp"

#include <string>

namespace collimate {

void Log::line(std::string_view label, std::string_view text) const {
  const std::string tag = world_rank_ == 0 ? "" : fmt::format("[rank {}] ", world_rank_);
  // One write a line: ranks share the launcher's stream.
  const std::string whole = fmt::format("collimate: {}{}{}\n", tag, label, text);
  std::fwrite(whole.data(), 1, whole.size(), stream_);
  std::fflush(stream_);
}

}  // namespace collimate
