#include "collimate/comm/failure_text.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "collimate/base/number_text.hpp"

namespace collimate::detail {

namespace {

constexpr std::array kFailureCodes{ExitCode::kFailure, ExitCode::kBadInput, ExitCode::kPreempted,
                                   ExitCode::kInterrupted};

}  // namespace

std::string render_failure(const Failure& failure) {
  return fmt::format("{}\n{}", static_cast<int>(failure.code), failure.message);
}

Failure read_failure(const std::string& text) {
  const std::size_t end_of_code = text.find('\n');
  const auto number = try_number<int>(std::string_view(text).substr(0, end_of_code));
  const auto* const code = std::ranges::find(kFailureCodes, static_cast<ExitCode>(number.value_or(0)));
  if (end_of_code == std::string::npos || code == kFailureCodes.end()) return {.message = text};
  return {.code = *code, .message = text.substr(end_of_code + 1)};
}

}  // namespace collimate::detail
