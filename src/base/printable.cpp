#include "collimate/base/printable.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include <fmt/format.h>

namespace collimate {

namespace {

struct CodePoints {
  std::uint32_t first;
  std::uint32_t last;
};

// Beyond ASCII: C1, Arabic letter mark, direction marks, separators and overrides, isolates and what is deprecated
// beside them, byte order mark, tags.
constexpr std::array<CodePoints, 7> kWrittenOut{{{0x80, 0x9f},
                                                 {0x61c, 0x61c},
                                                 {0x200e, 0x200f},
                                                 {0x2028, 0x202e},
                                                 {0x2066, 0x206f},
                                                 {0xfeff, 0xfeff},
                                                 {0xe0000, 0xe007f}}};

std::uint32_t byte_at(std::string_view text, std::size_t index) { return static_cast<unsigned char>(text[index]); }

std::size_t bytes_by_lead(std::uint32_t lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  if (lead >= 0xf0 && lead <= 0xf4) return 4;
  return 0;
}

// Whether the second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF (RFC 3629, section 4).
bool fits_lead(std::uint32_t lead, std::uint32_t second) {
  if (lead == 0xe0) return second >= 0xa0;
  if (lead == 0xed) return second <= 0x9f;
  if (lead == 0xf0) return second >= 0x90;
  if (lead == 0xf4) return second <= 0x8f;
  return true;
}

std::uint32_t code_point(std::string_view character) {
  if (character.size() == 1) return byte_at(character, 0);
  std::uint32_t code = byte_at(character, 0) & (0x7fU >> character.size());
  for (std::size_t i = 1; i < character.size(); ++i) code = code << 6U | (byte_at(character, i) & 0x3fU);
  return code;
}

bool is_shown(std::uint32_t code) {
  if (code < 0x80) return code == '\n' || code == '\t' || (code >= 0x20 && code != 0x7f);
  return std::ranges::none_of(kWrittenOut,
                              [&](const CodePoints& range) { return code >= range.first && code <= range.last; });
}

// As YAML's and C's escapes have it. A length of 0 is that of a byte which is no UTF-8.
std::string written_out(std::uint32_t code, std::size_t length) {
  if (length <= 1) return fmt::format("\\x{:02x}", code);
  return code <= 0xffff ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

}  // namespace

std::size_t utf8_bytes(std::string_view text) {
  if (text.empty()) return 0;
  const std::size_t length = bytes_by_lead(byte_at(text, 0));
  if (length <= 1) return length;
  if (text.size() < length || !fits_lead(byte_at(text, 0), byte_at(text, 1))) return 0;
  const auto continues = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) == 0x80U; };
  return std::ranges::all_of(text.substr(1, length - 1), continues) ? length : 0;
}

std::string printable(std::string_view text) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    const std::size_t length = utf8_bytes(text);
    const std::string_view character = text.substr(0, std::max(length, std::size_t{1}));
    const std::uint32_t code = length == 0 ? byte_at(text, 0) : code_point(character);
    shown += length > 0 && is_shown(code) ? std::string(character) : written_out(code, length);
    text.remove_prefix(character.size());
  }
  return shown;
}

std::string printable_line(std::string_view text) {
  std::string line;
  for (const char each : printable(text)) {
    if (each == '\n') {
      line += "\\n";
    } else if (each == '\t') {
      line += "\\t";
    } else {
      line += each;
    }
  }
  return line;
}

}  // namespace collimate
