#pragma once
// Overrides from the command line, --set key.path=value: the value is YAML, an index of a list is a key, and everything
// that holds for the file holds for them. The later of two overrides of one key wins.

#include <charconv>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "collimate/config/reader.hpp"

namespace collimate {

/// One --set, taken apart.
struct Override {
  std::vector<std::string> keys;  ///< of the path, from the root
  ConfigNode value;
};

/// Reads "key.path=value". What is wrong is added to `findings`; then there is no result. *Local.*
std::optional<Override> parse_override(std::string_view text, Findings& findings);

namespace detail {

/// Where an override has come to on its way down the keys.
struct OverrideStep {
  std::span<const std::string> keys;  ///< still to go
  const ConfigNode& value;
  std::string path;  ///< so far
};

template <ConfigStruct T>
void override_struct(const OverrideStep& step, T& object, const ReadContext& context);

template <class Value, class FieldType>
void override_value(const OverrideStep& step, const FieldType& field, Value& value, const ReadContext& context);

/// The element that `key` is the index of, if there is one.
template <class Element>
Element* find_element(std::vector<Element>& list, std::string_view key) {
  std::size_t index = 0;
  const auto result = std::from_chars(key.data(), key.data() + key.size(), index);
  const bool is_index = result.ec == std::errc() && result.ptr == key.data() + key.size();
  return is_index && index < list.size() ? &list[index] : nullptr;
}

template <class Element, class FieldType>
void override_element(const OverrideStep& step, const FieldType& field, std::vector<Element>& list,
                      const ReadContext& context) {
  const std::string path = join_key(step.path, step.keys.front());
  if (Element* element = find_element(list, step.keys.front())) {
    return override_value({step.keys.subspan(1), step.value, path}, field, *element, context);
  }
  const std::string expected =
      list.empty() ? "no index, the list is empty" : fmt::format("an index from 0 to {}", list.size() - 1);
  context.findings().add({.place = step.value.place,
                          .key_path = path,
                          .message = fmt::format("expected {}, got {}", expected, step.keys.front())});
}

template <class Value, class FieldType>
void override_value(const OverrideStep& step, const FieldType& field, Value& value, const ReadContext& context) {
  if (step.keys.empty()) {
    context.findings().mark_given(step.path, step.value.place);
    Value replaced{};
    read_value(step.value, step.path, field, replaced, context);
    value = std::move(replaced);
  } else if constexpr (ConfigStruct<Value>) {
    override_struct(step, value, context);
  } else if constexpr (kIsList<Value>) {
    override_element(step, field, value, context);
  } else if constexpr (kIsOptionalList<Value>) {
    auto list = value.value_or(typename Value::value_type{});
    override_element(step, field, list, context);
    if (value) value = std::move(list);
  } else if constexpr (kIsOptionalStruct<Value>) {
    // One key of what is unset sets it, with its defaults.
    if (!value) {
      context.findings().mark_given(step.path, step.value.place);
      value.emplace();
    }
    override_struct(step, *value, context);
  } else {
    context.findings().add({.place = step.value.place,
                            .key_path = join_key(step.path, step.keys.front()),
                            .message = fmt::format("unknown key: {} is a single value", step.path)});
  }
}

template <ConfigStruct T>
void override_struct(const OverrideStep& step, T& object, const ReadContext& context) {
  const std::string path = join_key(step.path, step.keys.front());
  bool is_known = false;
  for_each_field<T>([&](const auto& field) {
    if (field.key != step.keys.front()) return;
    is_known = true;
    if (ConfigStruct<ValueOf<decltype(field)>> && step.keys.size() == 1) {
      // Replacing a whole section would silently bring back the defaults of what the file gives.
      context.findings().add({.place = step.value.place,
                              .key_path = path,
                              .message = "is a section; expected the path of one of its keys"});
    } else {
      override_value({step.keys.subspan(1), step.value, path}, field, object.*field.member, context);
    }
  });
  if (!is_known) context.add_unknown(step.value.place, step.path, step.keys.front(), keys_of<T>());
}

}  // namespace detail

/// Sets the one value in `root` that the override names. *Local.*
template <ConfigStruct T>
void apply_override(const Override& given, T& root, const ReadContext& context) {
  detail::override_struct({given.keys, given.value, ""}, root, context);
}

}  // namespace collimate
