#include "text_check.hpp"

#include <algorithm>
#include <cstdint>

namespace collimate {

namespace {

bool is_text_byte(unsigned char byte) {
  return byte == '\t' || byte == '\n' || byte == '\r' || (byte >= 0x20 && byte != 0x7f);
}

/// Length of the character that starts with `lead`, 0 if none does.
std::size_t character_bytes(unsigned char lead) {
  if (lead < 0x80) return is_text_byte(lead) ? 1 : 0;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

/// Whether the second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629, section 4).
bool fits_lead(unsigned char lead, unsigned char second) {
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90;
  if (lead == 0xf4) return second <= 0x8f;
  return true;
}

bool is_character(std::string_view bytes) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(bytes[index]); };
  const bool continues = std::ranges::all_of(
      bytes.substr(1), [](char continuation) { return (static_cast<unsigned char>(continuation) & 0xc0U) == 0x80U; });
  return continues && (bytes.size() == 1 || fits_lead(byte(0), byte(1)));
}

}  // namespace

std::optional<std::size_t> find_bad_byte(std::string_view text) {
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t length = character_bytes(static_cast<unsigned char>(text[offset]));
    if (length == 0 || offset + length > text.size() || !is_character(text.substr(offset, length))) return offset;
    offset += length;
  }
  return std::nullopt;
}

}  // namespace collimate
