#pragma once
// Reads a YAML tree into a struct by its field list. What is wrong is added to the findings, and reading goes on, so
// that one run over a file tells everything.

#include <optional>
#include <string>
#include <vector>

#include "collimate/config/kinds.hpp"
#include "collimate/config/read_context.hpp"

namespace collimate {

/// Sets the members of `object` that `node` gives; the others keep their values. `path` is where the object stands in
/// the configuration ("" for the root); `alternative` is what else a message says may be given there. *Local.*
template <ConfigStruct T>
void read_struct(const ConfigNode& node, const std::string& path, T& object, const ReadContext& context,
                 const std::string& alternative = "");

namespace detail {

/// Where a key is said to be given: at its value, or at the key itself when the value is a section.
inline const Place& given_place(const ConfigNode& value) {
  return value.kind == ConfigNode::Kind::kMap ? value.key_place : value.place;
}

template <class Value>
std::optional<std::string> convert_any(const ConfigNode& node, Value& value) {
  if constexpr (std::is_enum_v<Value>) {
    const auto named = node.is_text() ? find_enum<Value>(node.text) : std::nullopt;
    if (named) value = *named;
    return named ? std::nullopt : std::optional(kind_words<Value>());
  } else {
    return convert(node, value);
  }
}

template <class Value, class FieldType>
void read_single(const ConfigNode& node, const std::string& path, const FieldType& field, Value& value,
                 const ReadContext& context) {
  Value read{};
  const auto wanted_kind = convert_any(node, read);
  if (!wanted_kind && field.constraint.accepts(read)) {
    value = std::move(read);
    return;
  }
  std::string hint;
  if constexpr (std::is_enum_v<Value>) hint = near_miss_hint(node.text, names_of<Value>());
  context.add_unexpected(node, path, expectation(field, wanted_kind.value_or(kind_words<Value>())), hint);
}

template <class Value, class FieldType>
void read_value(const ConfigNode& node, const std::string& path, const FieldType& field, Value& value,
                const ReadContext& context);

template <class Element, class FieldType>
void read_list(const ConfigNode& node, const std::string& path, const FieldType& field, std::vector<Element>& list,
               const ReadContext& context) {
  const bool is_scalar = node.kind == ConfigNode::Kind::kScalar;
  if (!is_scalar && node.kind != ConfigNode::Kind::kList) {
    context.add_unexpected(node, path, kind_words<std::vector<Element>>() + or_unset(field));
    return;
  }
  const std::vector<ConfigNode> items = is_scalar ? std::vector{node} : node.items;
  list.assign(items.size(), Element{});
  for (std::size_t index = 0; index < items.size(); ++index) {
    const bool is_indexed = !is_scalar || ConfigStruct<Element>;
    const std::string element_path = is_indexed ? join_key(path, std::to_string(index)) : path;
    context.findings().mark_given(element_path, items[index].place);
    Element element{};  // std::vector<bool> has no elements to refer to
    // Only the list as a whole can be unset.
    read_value(items[index], element_path, is_scalar ? field : field.unset_as(""), element, context);
    list[index] = std::move(element);
  }
}

template <class Value, class FieldType>
void read_value(const ConfigNode& node, const std::string& path, const FieldType& field, Value& value,
                const ReadContext& context) {
  if (node.kind == ConfigNode::Kind::kInvalid) return context.findings().mark_unread(path);
  if constexpr (ConfigStruct<Value>) {
    read_struct(node, path, value, context, or_unset(field));
  } else if constexpr (kIsList<Value>) {
    read_list(node, path, field, value, context);
  } else if constexpr (kIsOptional<Value>) {
    using Inner = Value::value_type;
    const bool is_word = node.kind == ConfigNode::Kind::kScalar && !node.is_quoted && node.text == field.unset_word;
    const bool is_null = node.kind == ConfigNode::Kind::kNull && field.unset_word == "null";
    if (is_word || is_null) {
      value.reset();
    } else {
      Inner inner{};
      read_value(node, path, field, inner, context);
      value = std::move(inner);
    }
  } else {
    read_single(node, path, field, value, context);
  }
}

}  // namespace detail

template <ConfigStruct T>
void read_struct(const ConfigNode& node, const std::string& path, T& object, const ReadContext& context,
                 const std::string& alternative) {
  if constexpr (HasShorthand<T>) {
    if (node.kind == ConfigNode::Kind::kScalar) {
      ConfigNode map{.kind = ConfigNode::Kind::kMap, .items = {node}, .place = node.place};
      map.items[0].key = T::kShorthandKey;
      return read_struct(map, path, object, context);
    }
  }
  if (node.kind != ConfigNode::Kind::kMap) {
    return context.add_unexpected(node, path, detail::kind_words<T>() + alternative);
  }
  const auto keys = detail::keys_of<T>();
  for (const ConfigNode* value : context.known_values(node, path, keys)) {
    const std::string key_path = join_key(path, value->key);
    context.findings().mark_given(key_path, detail::given_place(*value));
    for_each_field<T>([&](const auto& field) {
      if (field.key == value->key) detail::read_value(*value, key_path, field, object.*field.member, context);
    });
  }
}

}  // namespace collimate
