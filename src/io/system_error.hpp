#pragma once
// "PATH: cannot be written: No space left on device", for calls that set errno. Private to src/io.

#include <cerrno>
#include <string>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

namespace collimate::detail {

template <class Failure>
[[noreturn]] void throw_system_error(std::string_view path, std::string_view what, int code = errno) {
  throw Failure(fmt::format("{}: {}: {}", path, what, std::generic_category().message(code)));
}

}  // namespace collimate::detail
