#pragma once
// The names table of an enumeration: one specialization of enum_names beside the enumeration is all that reading,
// printing and comparing its values needs.

#include <array>
#include <optional>
#include <string_view>

#include "collimate/base/error.hpp"

namespace collimate {

/// One enumerator and the word for it in a configuration.
template <class Enum>
struct EnumName {
  Enum value;
  std::string_view name;
};

/// Specialize with std::to_array<EnumName<Enum>>({{Enum::kValue, "value"}, ...}).
template <class Enum>
inline constexpr std::array<EnumName<Enum>, 0> enum_names{};

/// The word for `value`. *Local.* Throws InvariantError if the table lacks it.
template <class Enum>
constexpr std::string_view enum_name(Enum value) {
  static_assert(!enum_names<Enum>.empty(), "the enumeration has no names table");
  for (const auto& entry : enum_names<Enum>) {
    if (entry.value == value) return entry.name;
  }
  throw InvariantError("an enumerator is missing in its names table");
}

/// The value that `name` stands for, if any. *Local.*
template <class Enum>
constexpr std::optional<Enum> find_enum(std::string_view name) {
  static_assert(!enum_names<Enum>.empty(), "the enumeration has no names table");
  for (const auto& entry : enum_names<Enum>) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

}  // namespace collimate
