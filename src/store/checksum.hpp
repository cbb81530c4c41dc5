#pragma once
// A text that holds its own checksum under the key "checksum". Private to src/store.

#include <string>
#include <string_view>

namespace collimate::detail {

/// What stands in the checksum's place while it is computed.
inline constexpr std::string_view kNoChecksum = "00000000000000000000000000000000";

/// `text` with `checksum` in the place of the first checksum, or as it is where it has none. The key must stand before
/// anything that a user may name freely.
std::string with_checksum(std::string text, std::string_view checksum);

/// `text`, written with kNoChecksum, with its XXH3-128 in that place.
std::string sealed(const std::string& text);

}  // namespace collimate::detail
