#include "collimate/base/error.hpp"

#include <fmt/format.h>

namespace collimate {

void check(bool holds, std::string_view claim, std::source_location place) {
  if (holds) return;
  throw InvariantError(fmt::format("internal check failed: {} ({}:{})", claim, place.file_name(), place.line()));
}

}  // namespace collimate
