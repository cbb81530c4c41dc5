#include "collimate/config/override.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace collimate {

namespace {

std::vector<std::string> split_keys(std::string_view path) {
  std::vector<std::string> keys(1);
  for (const char c : path) {
    if (c == '.') {
      keys.emplace_back();
    } else {
      keys.back() += c;
    }
  }
  return keys;
}

}  // namespace

std::optional<Override> parse_override(std::string_view text, Findings& findings) {
  const Place place{.source = fmt::format("--set {}", text)};
  const auto equals = text.find('=');
  auto keys = split_keys(text.substr(0, equals));
  const bool has_empty_key = std::ranges::any_of(keys, [](const std::string& key) { return key.empty(); });
  if (equals == std::string_view::npos || has_empty_key) {
    findings.add({.place = place, .message = "expected key.path=value, as in objective.beta=0.2"});
    return std::nullopt;
  }
  Findings of_value(place);
  auto value = parse_yaml(text.substr(equals + 1), place, of_value);
  if (!of_value.empty()) {
    findings.add_all(of_value, text.substr(0, equals));
    return std::nullopt;
  }
  return Override{.keys = std::move(keys), .value = value.value_or(ConfigNode{.place = place})};
}

}  // namespace collimate
