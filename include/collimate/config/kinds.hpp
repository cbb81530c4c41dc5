#pragma once
// Which C++ types a field can have, and how a message describes what one expects.

#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collimate/config/fields.hpp"
#include "collimate/config/read_context.hpp"
#include "collimate/config/scalar.hpp"

namespace collimate::detail {

template <class T>
inline constexpr bool kIsList = false;
template <class T>
inline constexpr bool kIsList<std::vector<T>> = true;

template <class T>
inline constexpr bool kIsOptional = false;
template <class T>
inline constexpr bool kIsOptional<std::optional<T>> = true;

template <class T>
inline constexpr bool kIsOptionalList = false;
template <class T>
inline constexpr bool kIsOptionalList<std::optional<std::vector<T>>> = true;

template <class T>
inline constexpr bool kIsOptionalStruct = false;
template <ConfigStruct T>
inline constexpr bool kIsOptionalStruct<std::optional<T>> = true;

/// Whether a field holds a path of the file system.
template <class FieldType>
inline constexpr bool kIsPath =
    std::is_same_v<std::remove_cvref_t<decltype(std::declval<FieldType>().constraint)>, FilePath>;

/// The keys of a struct, in their order.
template <ConfigStruct T>
std::vector<std::string_view> keys_of() {
  std::vector<std::string_view> keys;
  for_each_field<T>([&](const auto& field) { keys.push_back(field.key); });
  return keys;
}

/// The names of an enumeration, in the order of its table.
template <class Enum>
std::vector<std::string_view> names_of() {
  std::vector<std::string_view> names;
  names.reserve(enum_names<Enum>.size());
  for (const auto& entry : enum_names<Enum>) names.push_back(entry.name);
  return names;
}

/// The type of the member that a field stands for.
template <class Owner, class Value, class Constraint>
Value value_type(const Field<Owner, Value, Constraint>&);
template <class FieldType>
using ValueOf = decltype(value_type(std::declval<FieldType>()));

/// How the field is unset, as the end of an expectation; empty for what is always set.
template <class FieldType>
std::string or_unset(const FieldType& field) {
  const bool may_be_unset = kIsOptional<ValueOf<FieldType>> && !field.unset_word.empty();
  return may_be_unset ? fmt::format(", or {}", field.unset_word) : "";
}

/// What a value of the field must be, after "expected": the word for its type, its constraint, how it is unset.
template <class FieldType>
std::string expectation(const FieldType& field, std::string kind) {
  const std::string limit = field.constraint.expected();
  std::string words = std::move(kind);
  if (kIsPath<FieldType>) {
    words = limit;
  } else if (!limit.empty()) {
    words += fmt::format(", {}", limit);
  }
  return words + or_unset(field);
}

/// The words for what a value of a type can be given as.
template <class Value>
std::string kind_words() {
  if constexpr (HasShorthand<Value>) {
    return fmt::format("a map of keys, or its {} alone", Value::kShorthandKey);
  } else if constexpr (ConfigStruct<Value>) {
    return "a map of keys";
  } else if constexpr (kIsList<Value>) {
    return "a list";
  } else if constexpr (kIsOptional<Value>) {
    return kind_words<typename Value::value_type>();
  } else if constexpr (std::is_enum_v<Value>) {
    return one_of(names_of<Value>());
  } else {
    return std::string(kind_of(Value{}));
  }
}

}  // namespace collimate::detail
