#pragma once
// Numbers in texts that other processes have written.

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace collimate {

/// *Local.* The whole number that all of `text` is; nothing for any other text, or one that `Number` does not hold.
template <class Number>
std::optional<Number> try_number(std::string_view text) {
  Number number{};
  const char* const end = text.data() + text.size();
  const auto [stop, failure] = std::from_chars(text.data(), end, number);
  if (failure != std::errc() || stop != end) return std::nullopt;
  return number;
}

}  // namespace collimate
