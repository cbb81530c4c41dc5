#include "collimate/config/findings.hpp"

#include <algorithm>
#include <tuple>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace collimate {

namespace {

bool is_within(std::string_view key_path, std::string_view section) {
  return key_path.starts_with(section) && (key_path.size() == section.size() || key_path[section.size()] == '.');
}

std::string join_lines(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  lines.reserve(findings.size());
  for (const Finding& finding : findings) lines.push_back(finding.text());
  return fmt::format("{}", fmt::join(lines, "\n"));
}

}  // namespace

std::string Place::text() const { return line == 0 ? source : fmt::format("{}:{}:{}", source, line, column); }

std::string Finding::text() const {
  if (key_path.empty()) return fmt::format("{}: {}", place.text(), message);
  return fmt::format("{}: {}: {}", place.text(), key_path, message);
}

ConfigError::ConfigError(std::vector<Finding> findings)
    : InputError(join_lines(findings)), findings_(std::move(findings)) {}

void Findings::add_all(const Findings& others, std::string_view key_path) {
  for (Finding finding : others.findings_) {
    finding.key_path = key_path;
    add(std::move(finding));
  }
}

void Findings::add(std::string_view key_path, std::string message) {
  add({.place = place_of(key_path), .key_path = std::string(key_path), .message = std::move(message)});
}

void Findings::add_about(std::span<const std::string_view> key_paths, std::string message) {
  const bool follows = std::ranges::any_of(key_paths, [this](std::string_view key_path) { return concern(key_path); });
  if (!follows) add(key_paths.front(), std::move(message));
}

void Findings::mark_given(const std::string& key_path, Place place) {
  std::erase_if(places_, [&](const auto& known) { return is_within(known.first, key_path); });
  places_.emplace(key_path, std::move(place));
}

bool Findings::concern(std::string_view key_path) const {
  const auto touches = [&](std::string_view other) {
    return !other.empty() && (is_within(other, key_path) || is_within(key_path, other));
  };
  return std::ranges::any_of(findings_, touches, &Finding::key_path) || std::ranges::any_of(unread_, touches);
}

const Place& Findings::place_of(std::string_view key_path) const {
  for (std::string_view known = key_path; !known.empty();) {
    if (const auto found = places_.find(known); found != places_.end()) return found->second;
    const auto dot = known.rfind('.');
    known = dot == std::string_view::npos ? std::string_view() : known.substr(0, dot);
  }
  return root_;
}

void Findings::throw_if_any() const {
  if (findings_.empty()) return;
  std::vector<Finding> sorted = findings_;
  std::ranges::stable_sort(sorted, {}, [](const Finding& finding) {
    return std::tuple(finding.place.line == 0, finding.place.line, finding.place.column);
  });
  throw ConfigError(std::move(sorted));
}

}  // namespace collimate
