#include "text_check.hpp"

#include "collimate/base/printable.hpp"

namespace collimate {

namespace {

bool is_text_byte(unsigned char byte) {
  return byte == '\t' || byte == '\n' || byte == '\r' || (byte >= 0x20 && byte != 0x7f);
}

}  // namespace

std::optional<std::size_t> find_bad_byte(std::string_view text) {
  for (std::size_t offset = 0; offset < text.size();) {
    const std::size_t length = utf8_bytes(text.substr(offset));
    if (length == 0 || (length == 1 && !is_text_byte(static_cast<unsigned char>(text[offset])))) return offset;
    offset += length;
  }
  return std::nullopt;
}

}  // namespace collimate
