#include "collimate/config/read_context.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/config/near_miss.hpp"

namespace collimate {

void ReadContext::add_unexpected(const ConfigNode& node, const std::string& path, std::string_view expected,
                                 std::string_view hint) const {
  findings_.add({.place = node.place,
                 .key_path = path,
                 .message = fmt::format("expected {}, got {}{}", expected, node.shown(), hint)});
}

std::vector<std::string> ReadContext::meant_keys(const std::string& section, std::string_view key,
                                                 std::span<const std::string_view> known) const {
  std::vector<std::string> meant;
  const std::string ending = fmt::format(".{}", key);
  std::ranges::copy_if(all_keys_, std::back_inserter(meant), [&](const auto& path) { return path.ends_with(ending); });
  if (const auto near = find_near_miss(key, known)) meant.push_back(join_key(section, *near));
  return meant;
}

void ReadContext::add_unknown(const Place& place, const std::string& section, std::string_view key,
                              std::span<const std::string_view> known) const {
  const auto meant = meant_keys(section, key, known);
  const std::string hint = meant.empty() ? fmt::format("; expected {}", one_of(known))
                                         : fmt::format(" (did you mean {}?)", fmt::join(meant, " or "));
  findings_.add({.place = place, .key_path = join_key(section, key), .message = fmt::format("unknown key{}", hint)});
}

std::vector<const ConfigNode*> ReadContext::known_values(const ConfigNode& node, const std::string& section,
                                                         std::span<const std::string_view> known) const {
  std::vector<const ConfigNode*> values;
  for (const ConfigNode& value : node.items) {
    const auto first = std::ranges::find(node.items, value.key, &ConfigNode::key);
    if (&*first != &value) {
      findings_.add(
          {.place = value.key_place,
           .key_path = join_key(section, value.key),
           .message = fmt::format("duplicate key, first given at line {}; expected it once", first->key_place.line)});
    } else if (std::ranges::find(known, value.key) == known.end()) {
      add_unknown(value.key_place, section, value.key, known);
    } else {
      values.push_back(&value);
    }
  }
  return values;
}

std::string join_key(std::string_view section, std::string_view key) {
  return section.empty() ? std::string(key) : fmt::format("{}.{}", section, key);
}

std::string one_of(std::span<const std::string_view> words) {
  if (words.size() == 1) return std::string(words.front());
  return fmt::format("one of {}", fmt::join(words, ", "));
}

std::string near_miss_hint(std::string_view word, std::span<const std::string_view> known) {
  const auto near = find_near_miss(word, known);
  return near ? fmt::format(" (did you mean {}?)", *near) : std::string();
}

}  // namespace collimate
