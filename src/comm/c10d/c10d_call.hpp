#pragma once
// Every call of libtorch's c10d goes through here: what it throws becomes an Error that names call and group.

#include <string_view>
#include <type_traits>

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

/// Runs `part` and gives its value; throws Error "<call> failed on <where>: <reason>" for whatever it throws.
template <class Part>
auto call_c10d(std::string_view call, std::string_view where, const Part& part) -> std::invoke_result_t<Part> {
  try {
    return part();
  } catch (const c10::Error& error) {
    throw Error(fmt::format("{} failed on {}: {}", call, where, error.what_without_backtrace()));
  } catch (const std::exception& error) {
    throw Error(fmt::format("{} failed on {}: {}", call, where, error.what()));
  }
}

}  // namespace collimate::detail
