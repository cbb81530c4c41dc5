#include "checksum.hpp"

#include "collimate/base/hash.hpp"

namespace collimate::detail {

namespace {
constexpr std::string_view kChecksumKey = "\"checksum\": \"";
}  // namespace

std::string with_checksum(std::string text, std::string_view checksum) {
  const auto place = text.find(kChecksumKey);
  if (place == std::string::npos || text.size() < place + kChecksumKey.size() + kNoChecksum.size()) return text;
  return text.replace(place + kChecksumKey.size(), kNoChecksum.size(), checksum);
}

std::string sealed(const std::string& text) { return with_checksum(text, hash_text(text).hex()); }

}  // namespace collimate::detail
