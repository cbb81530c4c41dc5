#include "collimate/comm/agreement.hpp"

#include <string>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/failure_text.hpp"

namespace collimate {

namespace {

// An empty one is success.
std::string verdict_of(const std::function<void()>& part) {
  try {
    part();
    return {};
  } catch (const Error& error) {
    return detail::render_failure({.code = error.exit_code(), .message = error.what()});
  } catch (const std::exception& error) {
    return detail::render_failure({.message = error.what()});
  }
}

}  // namespace

void run_agreed(Communicator& group, const std::function<void()>& part) {
  const std::string own = verdict_of(part);
  if (group.all_hold(own.empty())) return;
  const std::vector<std::string> verdicts = group.all_gather_bytes(own);
  for (std::size_t rank = 0; rank < verdicts.size(); ++rank) {
    if (verdicts[rank].empty()) continue;
    const auto [code, message] = detail::read_failure(verdicts[rank]);
    const std::string place = group.size() == 1 || code == ExitCode::kBadInput ? "" : fmt::format("rank {}: ", rank);
    throw AgreedError(place + message, code);
  }
}

}  // namespace collimate
