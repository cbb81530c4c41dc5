#pragma once
// What values a field accepts, beyond its type. A constraint has `accepts(value)` and `expected()`, the words that a
// message puts after "expected a number, ...". It is applied to each element of a list and to the value inside an
// optional.

#include <limits>
#include <string>
#include <string_view>

namespace collimate {

/// Every value of the type.
struct Anything {
  template <class Value>
  [[nodiscard]] constexpr bool accepts(const Value& /*value*/) const {
    return true;
  }
  [[nodiscard]] std::string expected() const { return {}; }
};

/// A number within two bounds, each inclusive unless it is said to be open.
struct Range {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool low_is_open = false;
  bool high_is_open = false;

  template <class Value>
  [[nodiscard]] constexpr bool accepts(Value value) const {
    const auto number = static_cast<double>(value);
    return (low_is_open ? number > low : number >= low) && (high_is_open ? number < high : number <= high);
  }
  [[nodiscard]] std::string expected() const;
};

constexpr Range at_least(double low) { return {.low = low}; }
constexpr Range above(double low) { return {.low = low, .low_is_open = true}; }
/// low <= value <= high
constexpr Range between(double low, double high) { return {.low = low, .high = high}; }
/// low <= value < high
constexpr Range from_to_below(double low, double high) { return {.low = low, .high = high, .high_is_open = true}; }

/// A count of at least 1, or -1 for "no limit".
struct CountOrUnlimited {
  template <class Value>
  [[nodiscard]] constexpr bool accepts(Value value) const {
    return value >= 1 || value == -1;
  }
  [[nodiscard]] std::string expected() const;
};

/// A path of the file system: text, not empty. Fields with this constraint are what make_paths_absolute changes.
struct FilePath {
  [[nodiscard]] constexpr bool accepts(std::string_view value) const {
    return !value.empty() && value.find('\0') == std::string_view::npos;
  }
  [[nodiscard]] std::string expected() const;
};

}  // namespace collimate
