#pragma once
// The canonical text of a configuration: valid YAML with every key, in the order of declaration. Reading it gives the
// same values, and equal values give equal text.

#include <string>

#include <fmt/format.h>

#include "collimate/config/walk.hpp"

namespace collimate {

namespace detail {

template <ConfigStruct T>
void dump_struct(const T& object, const std::string& first_indent, const std::string& indent, std::string& text) {
  bool is_first = true;
  for_each_field<T>([&](const auto& field) {
    const auto& value = object.*field.member;
    text += fmt::format("{}{}:", is_first ? first_indent : indent, field.key);
    is_first = false;
    if constexpr (ConfigStruct<ValueOf<decltype(field)>>) {
      text += '\n';
      dump_struct(value, indent + "  ", indent + "  ", text);
    } else if constexpr (kIsListOfStructs<ValueOf<decltype(field)>>) {
      text += value.empty() ? " []\n" : "\n";
      for (const auto& element : value) dump_struct(element, indent + "  - ", indent + "    ", text);
    } else if constexpr (kIsOptionalStruct<ValueOf<decltype(field)>>) {
      text += value ? std::string("\n") : fmt::format(" {}\n", field.unset_word);
      if (value) dump_struct(*value, indent + "  ", indent + "  ", text);
    } else {
      text += fmt::format(" {}\n", value_text(value, field.unset_word));
    }
  });
}

}  // namespace detail

/// The canonical YAML of `object`. *Local.*
template <ConfigStruct T>
std::string dump_canonical_yaml(const T& object) {
  std::string text;
  detail::dump_struct(object, "", "", text);
  return text;
}

}  // namespace collimate
