#include "collimate/comm/agreement.hpp"

#include <string>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// A verdict travels as "<exit code>\n<message>"; an empty one is success.
std::string verdict_of(const std::function<void()>& part) {
  try {
    part();
    return {};
  } catch (const Error& error) {
    return fmt::format("{}\n{}", static_cast<int>(error.exit_code()), error.what());
  } catch (const std::exception& error) {
    return fmt::format("{}\n{}", static_cast<int>(ExitCode::kFailure), error.what());
  }
}

}  // namespace

void run_agreed(Communicator& group, const std::function<void()>& part) {
  const std::string own = verdict_of(part);
  if (group.all_hold(own.empty())) return;
  const std::vector<std::string> verdicts = group.all_gather_bytes(own);
  for (std::size_t rank = 0; rank < verdicts.size(); ++rank) {
    const std::string& verdict = verdicts[rank];
    if (verdict.empty()) continue;
    const std::size_t end_of_code = verdict.find('\n');
    const auto code = static_cast<ExitCode>(std::stoi(verdict.substr(0, end_of_code)));
    const std::string place = group.size() == 1 || code == ExitCode::kBadInput ? "" : fmt::format("rank {}: ", rank);
    throw AgreedError(place + verdict.substr(end_of_code + 1), code);
  }
}

}  // namespace collimate
