#pragma once
// How one rank knows that bytes are of another rank of its job: both know a key that nobody else does.

#include <cstddef>
#include <string>
#include <string_view>

namespace collimate::detail {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kTagBytes = 16;

/// *Local.* `num_bytes` of the kernel's random source. Throws Error when it gives none.
std::string random_bytes(std::size_t num_bytes);

/// *Local.* HMAC-SHA256 of `text`: 32 bytes, which who does not know `key` can neither compute nor guess.
std::string keyed_mac(const std::string& key, std::string_view text);

/// *Local.* Whether two tags are equal, in a time that does not tell where they differ.
bool are_same_tags(std::string_view one, std::string_view other);

}  // namespace collimate::detail
