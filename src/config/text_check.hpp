#pragma once
// Finds bytes that are no text, before the YAML library sees them (it replaces what it cannot decode, and takes 0x04
// for the end).

#include <cstddef>
#include <optional>
#include <string_view>

namespace collimate {

/// Offset of the first byte that is not part of well-formed UTF-8 or is a control character other than tab, line feed
/// and carriage return. *Local.*
std::optional<std::size_t> find_bad_byte(std::string_view text);

}  // namespace collimate
