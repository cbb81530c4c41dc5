#pragma once
// Single values between their text and their C++ type: strict in one direction, canonical in the other.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace collimate {

struct ConfigNode;

/// What a value must be, for "expected ..., got ...": "a whole number".
std::string_view kind_of(bool value);
std::string_view kind_of(int value);
std::string_view kind_of(std::int64_t value);
std::string_view kind_of(std::uint64_t value);
std::string_view kind_of(double value);
std::string_view kind_of(const std::string& value);

/// Converts the whole of `node` into `value`. Returns what it should have been when it is not that (`value` is then
/// unchanged): numbers with a tail, fractions for whole numbers, NaN, infinity and what overflows included. *Local.*
std::optional<std::string> convert(const ConfigNode& node, bool& value);
std::optional<std::string> convert(const ConfigNode& node, int& value);
std::optional<std::string> convert(const ConfigNode& node, std::int64_t& value);
std::optional<std::string> convert(const ConfigNode& node, std::uint64_t& value);
std::optional<std::string> convert(const ConfigNode& node, double& value);
std::optional<std::string> convert(const ConfigNode& node, std::string& value);

/// The canonical text, which reads back as the same value. Floats have the fewest digits that do so, and always a
/// point.
std::string canonical_text(bool value);
std::string canonical_text(int value);
std::string canonical_text(std::int64_t value);
std::string canonical_text(std::uint64_t value);
std::string canonical_text(double value);
std::string canonical_text(const std::string& value);

/// In double quotes, with everything that quotes cannot hold escaped.
std::string quoted(std::string_view text);

/// Whether YAML takes a plain (unquoted) scalar for text, not for null, true, false or a number. *Local.*
bool reads_as_text(std::string_view plain);

}  // namespace collimate
