#pragma once
// Walks over the fields of a filled struct: the flat list of its values (for comparing and hashing), the keys it can
// have, the required ones that were not given, and its paths.

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/config/kinds.hpp"

namespace collimate {

/// One value of a configuration. A list of structs has a value of its own, the number of its elements, and so has a
/// struct that may be unset: whether it is set.
struct FieldValue {
  std::string key_path;
  Role role;
  std::string text;  ///< canonical
};

namespace detail {

template <class Value>
std::string value_text(const Value& value, std::string_view unset_word) {
  if constexpr (kIsOptional<Value>) {
    return value ? value_text(*value, unset_word) : std::string(unset_word);
  } else if constexpr (kIsList<Value>) {
    std::vector<std::string> texts;
    texts.reserve(value.size());
    for (const auto& element : value) texts.push_back(value_text(element, unset_word));
    return fmt::format("[{}]", fmt::join(texts, ", "));
  } else if constexpr (std::is_enum_v<Value>) {
    return std::string(enum_name(value));
  } else {
    return canonical_text(value);
  }
}

template <class Value>
inline constexpr bool kIsListOfStructs = false;
template <ConfigStruct Element>
inline constexpr bool kIsListOfStructs<std::vector<Element>> = true;

template <ConfigStruct T>
void list_fields_below(const T& object, const std::string& path, Role limit, std::vector<FieldValue>& list) {
  for_each_field<T>([&](const auto& field) {
    const auto& value = object.*field.member;
    const std::string key_path = join_key(path, field.key);
    const Role role = std::min(limit, field.role);
    if constexpr (ConfigStruct<ValueOf<decltype(field)>>) {
      list_fields_below(value, key_path, role, list);
    } else if constexpr (kIsListOfStructs<ValueOf<decltype(field)>>) {
      list.push_back({key_path, role, fmt::format("{} {}", value.size(), value.size() == 1 ? "entry" : "entries")});
      for (std::size_t index = 0; index < value.size(); ++index) {
        list_fields_below(value[index], join_key(key_path, std::to_string(index)), role, list);
      }
    } else if constexpr (kIsOptionalStruct<ValueOf<decltype(field)>>) {
      list.push_back({key_path, role, value ? "set" : std::string(field.unset_word)});
      if (value) list_fields_below(*value, key_path, role, list);
    } else {
      list.push_back({key_path, role, value_text(value, field.unset_word)});
    }
  });
}

template <ConfigStruct T>
void list_keys_below(const std::string& path, std::vector<std::string>& list) {
  for_each_field<T>([&](const auto& field) {
    using Value = ValueOf<decltype(field)>;
    const std::string key_path = join_key(path, field.key);
    if constexpr (ConfigStruct<Value>) {
      list_keys_below<Value>(key_path, list);
    } else if constexpr (kIsListOfStructs<Value>) {
      list.push_back(key_path);
      list_keys_below<typename Value::value_type>(join_key(key_path, "0"), list);
    } else if constexpr (kIsOptionalStruct<Value>) {
      list.push_back(key_path);
      list_keys_below<typename Value::value_type>(key_path, list);
    } else {
      list.push_back(key_path);
    }
  });
}

}  // namespace detail

/// Every value of `object`, in the order of declaration. *Local.*
template <ConfigStruct T>
std::vector<FieldValue> list_fields(const T& object) {
  std::vector<FieldValue> list;
  detail::list_fields_below(object, "", Role::kIdentity, list);
  return list;
}

/// The key path of everything that a T can be given, with index 0 for the elements of lists. *Local.*
template <ConfigStruct T>
std::vector<std::string> list_keys() {
  std::vector<std::string> list;
  detail::list_keys_below<T>("", list);
  return list;
}

/// Adds a finding for each required key that neither the file nor an override gave. *Local.*
template <ConfigStruct T>
void find_missing_keys(const T& object, const std::string& path, Findings& findings) {
  for_each_field<T>([&](const auto& field) {
    using Value = detail::ValueOf<decltype(field)>;
    const std::string key_path = join_key(path, field.key);
    if (field.is_required && !findings.is_given(key_path) && !findings.concern(key_path)) {
      findings.add(key_path,
                   fmt::format("missing; expected {}", detail::expectation(field, detail::kind_words<Value>())));
    }
    const auto& value = object.*field.member;
    if constexpr (ConfigStruct<Value>) {
      find_missing_keys(value, key_path, findings);
    } else if constexpr (detail::kIsListOfStructs<Value>) {
      for (std::size_t index = 0; index < value.size(); ++index) {
        find_missing_keys(value[index], join_key(key_path, std::to_string(index)), findings);
      }
    } else if constexpr (detail::kIsOptionalStruct<Value>) {
      if (value) find_missing_keys(*value, key_path, findings);
    }
  });
}

/// Resolves every path of `object` against `folder`. *Local.*
template <ConfigStruct T>
void make_paths_absolute(T& object, const std::filesystem::path& folder) {
  const auto resolve = [&](std::string& path) { path = (folder / path).lexically_normal().string(); };
  for_each_field<T>([&](const auto& field) {
    using Value = detail::ValueOf<decltype(field)>;
    auto& value = object.*field.member;
    if constexpr (ConfigStruct<Value>) {
      make_paths_absolute(value, folder);
    } else if constexpr (detail::kIsListOfStructs<Value>) {
      for (auto& element : value) make_paths_absolute(element, folder);
    } else if constexpr (detail::kIsOptionalStruct<Value>) {
      if (value) make_paths_absolute(*value, folder);
    } else if constexpr (detail::kIsPath<decltype(field)>) {
      if constexpr (detail::kIsOptional<Value>) {
        if (value) resolve(*value);
      } else {
        resolve(value);
      }
    }
  });
}

}  // namespace collimate
