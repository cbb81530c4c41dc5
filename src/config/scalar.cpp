#include "collimate/config/scalar.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "collimate/config/node.hpp"

namespace collimate {

namespace {

template <std::size_t kCount>
bool is_one_of(std::string_view text, const std::array<std::string_view, kCount>& words) {
  return std::ranges::find(words, text) != words.end();
}

/// The digits for std::from_chars, which knows no leading plus.
std::string_view without_plus(std::string_view text) {
  const bool has_plus = text.size() > 1 && text[0] == '+' && text[1] != '-';
  return has_plus ? text.substr(1) : text;
}

/// True for 010, which is eight in YAML 1.1 and ten in 1.2.
bool has_leading_zero(std::string_view text) {
  const std::string_view digits = text.substr(std::min(text.find_first_of("0123456789"), text.size()));
  return digits.size() > 1 && digits[0] == '0';
}

template <class Integer>
std::string range_of() {
  return fmt::format("a whole number from {} to {}", std::numeric_limits<Integer>::min(),
                     std::numeric_limits<Integer>::max());
}

template <class Integer>
std::optional<std::string> convert_integer(const ConfigNode& node, Integer& value) {
  if (node.kind != ConfigNode::Kind::kScalar || node.is_quoted) return std::string(kind_of(value));
  const std::string_view text = without_plus(node.text);
  // Through the widest type, so that -1 for an unsigned value is out of range and not unreadable.
  const bool is_negative = text.starts_with('-');
  const std::string_view digits = is_negative ? text.substr(1) : text;
  const bool is_whole = !digits.empty() && std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_whole || has_leading_zero(digits)) return std::string(kind_of(value));
  Integer read{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), read);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size()) return range_of<Integer>();
  value = read;
  return std::nullopt;
}

enum class FloatText { kNumber, kNotFinite, kTooLarge, kOther };

FloatText read_float(std::string_view plain, double& value) {
  const std::string_view text = without_plus(plain);
  const std::string_view unsigned_text = text.starts_with('-') ? text.substr(1) : text;
  constexpr std::array<std::string_view, 8> kNotFinite = {".nan", ".NaN", ".NAN", ".inf", ".Inf", ".INF", "nan", "inf"};
  if (is_one_of(unsigned_text, kNotFinite)) return FloatText::kNotFinite;
  // from_chars also takes words such as "infinity".
  if (unsigned_text.empty() || (unsigned_text[0] != '.' && (unsigned_text[0] < '0' || unsigned_text[0] > '9'))) {
    return FloatText::kOther;
  }
  double read = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), read);
  if (result.ptr != text.data() + text.size() || result.ec == std::errc::invalid_argument) return FloatText::kOther;
  if (result.ec != std::errc()) return FloatText::kTooLarge;
  value = read;
  return FloatText::kNumber;
}

/// Text that any YAML reader, of 1.1 too, takes for the same text without quotes.
bool needs_no_quotes(std::string_view text) {
  constexpr std::array<std::string_view, 7> kWordsOf11 = {"y", "n", "yes", "no", "on", "off", "="};
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; });
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || c == '/'; };
  const auto is_plain = [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '+' || c == '=';
  };
  return !lower.empty() && is_letter(lower[0]) && std::ranges::all_of(lower, is_plain) &&
         !is_one_of(lower, kWordsOf11) && reads_as_text(text);
}

}  // namespace

std::string_view kind_of(bool /*value*/) { return "true or false"; }
std::string_view kind_of(int /*value*/) { return "a whole number"; }
std::string_view kind_of(std::int64_t /*value*/) { return "a whole number"; }
std::string_view kind_of(std::uint64_t /*value*/) { return "a whole number from 0"; }
std::string_view kind_of(double /*value*/) { return "a number"; }
std::string_view kind_of(const std::string& /*value*/) { return "text"; }

std::optional<std::string> convert(const ConfigNode& node, bool& value) {
  const bool is_plain = node.kind == ConfigNode::Kind::kScalar && !node.is_quoted;
  if (!is_plain || (node.text != "true" && node.text != "false")) return std::string(kind_of(value));
  value = node.text == "true";
  return std::nullopt;
}

std::optional<std::string> convert(const ConfigNode& node, int& value) { return convert_integer(node, value); }
std::optional<std::string> convert(const ConfigNode& node, std::int64_t& value) { return convert_integer(node, value); }
std::optional<std::string> convert(const ConfigNode& node, std::uint64_t& value) {
  return convert_integer(node, value);
}

std::optional<std::string> convert(const ConfigNode& node, double& value) {
  if (node.kind != ConfigNode::Kind::kScalar || node.is_quoted) return std::string(kind_of(value));
  switch (read_float(node.text, value)) {
    case FloatText::kNumber:
      return std::nullopt;
    case FloatText::kNotFinite:
      return "a finite number";
    case FloatText::kTooLarge:
      return "a number within the range of 64-bit floats";
    case FloatText::kOther:
      break;
  }
  return std::string(kind_of(value));
}

std::optional<std::string> convert(const ConfigNode& node, std::string& value) {
  if (!node.is_text()) {
    return node.kind == ConfigNode::Kind::kScalar ? "text (in quotes if it is meant so)" : std::string(kind_of(value));
  }
  value = node.text;
  return std::nullopt;
}

std::string canonical_text(bool value) { return value ? "true" : "false"; }
std::string canonical_text(int value) { return fmt::format("{}", value); }
std::string canonical_text(std::int64_t value) { return fmt::format("{}", value); }
std::string canonical_text(std::uint64_t value) { return fmt::format("{}", value); }

std::string canonical_text(double value) {
  std::string text = fmt::format("{}", value);
  // YAML 1.1 readers take 5e-07 for text: they want a point.
  if (text.find('.') == std::string::npos) text.insert(std::min(text.find('e'), text.size()), ".0");
  return text;
}

std::string canonical_text(const std::string& value) {
  return needs_no_quotes(value) ? value : collimate::quoted(value);
}

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += {'\\', c};
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\x{:02x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

bool reads_as_text(std::string_view plain) {
  constexpr std::array<std::string_view, 11> kWords = {"",     "~",    "null",  "Null",  "NULL", "true",
                                                       "True", "TRUE", "false", "False", "FALSE"};
  double number = 0;
  return !is_one_of(plain, kWords) && read_float(plain, number) == FloatText::kOther;
}

}  // namespace collimate
