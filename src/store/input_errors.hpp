#pragma once
// What std::filesystem says of folders that cannot be read, as the user's input that they are. Private to src/store.

#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

/// *Local.* Calls `look`; throws InputError with path and reason where the system does not let it look.
template <class Look>
auto with_input_errors(Look&& look) {
  try {
    return std::forward<Look>(look)();
  } catch (const std::filesystem::filesystem_error& error) {
    throw InputError(fmt::format("{}: cannot be read: {}", error.path1().string(), error.code().message()));
  }
}

}  // namespace collimate::detail
