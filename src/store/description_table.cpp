#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/printable.hpp"
#include "describe.hpp"

namespace collimate::detail {

namespace {

constexpr std::size_t kBarWidth = 40;

// Columns are not padded beyond it: one long text of a file would make every row as long.
constexpr std::size_t kWidestPadded = 64;

/// Keys and values alike, which may be a file's own, as they reach the terminal: on one line.
std::string cell_text(const Description& value) {
  if (value.is_string()) return printable_line(value.get_ref<const std::string&>());
  if (value.is_number_float()) return fmt::format("{:.6g}", value.get<double>());
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_null()) return "none";
  if (!value.is_array()) return value.dump();
  std::vector<std::string> parts;
  for (const Description& part : value) parts.push_back(cell_text(part));
  return fmt::format("{}", fmt::join(parts, ", "));
}

bool is_list_of_objects(const Description& value) {
  return value.is_array() && !value.empty() && value.front().is_object();
}

/// A bar for each row of a list that counts something, as long as its count is large; a count above 0 is seen.
std::vector<std::string> bars_of(const Description& list) {
  std::vector<std::uint64_t> counts;
  for (const Description& row : list) {
    if (!row.contains("count") || !row.at("count").is_number_unsigned()) return {};
    counts.push_back(row.at("count").get<std::uint64_t>());
  }
  const std::uint64_t greatest = std::max<std::uint64_t>(std::ranges::max(counts), 1);
  std::vector<std::string> bars;
  for (const std::uint64_t count : counts) bars.emplace_back((count * kBarWidth + greatest - 1) / greatest, '#');
  return bars;
}

/// One line an object under a line of their keys, in columns.
std::string list_lines(const Description& list, std::size_t indent) {
  std::vector<std::string> lines(list.size() + 1, std::string(indent, ' '));
  for (const auto& [key, unused] : list.front().items()) {
    std::vector<std::string> cells{cell_text(key)};
    for (const Description& row : list) cells.push_back(row.contains(key) ? cell_text(row.at(key)) : "");
    const std::size_t widest = std::ranges::max(cells, {}, [](const std::string& cell) { return cell.size(); }).size();
    const std::size_t width = std::min(widest, kWidestPadded);
    for (std::size_t i = 0; i < cells.size(); ++i) lines[i] += fmt::format("{:>{}}  ", cells[i], width);
  }
  const std::vector<std::string> bars = bars_of(list);
  for (std::size_t i = 0; i < bars.size(); ++i) lines[i + 1] += bars[i];
  std::string text;
  for (std::string& line : lines) {
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string object_lines(const Description& object, std::size_t indent) {
  std::size_t width = 0;
  for (const auto& [key, value] : object.items()) {
    if (!value.is_object() && !is_list_of_objects(value)) width = std::max(width, cell_text(key).size());
  }
  width = std::min(width, kWidestPadded);
  std::string text;
  const std::string margin(indent, ' ');
  for (const auto& [key, value] : object.items()) {
    const std::string label = cell_text(key);
    if (value.is_object()) {
      text += fmt::format("{}{}\n{}", margin, label, object_lines(value, indent + 2));
    } else if (is_list_of_objects(value)) {
      text += fmt::format("{}{}\n{}", margin, label, list_lines(value, indent + 2));
    } else {
      text += fmt::format("{}{:<{}}  {}\n", margin, label, width, cell_text(value));
    }
  }
  return text;
}

}  // namespace

std::string description_table(const Description& description) {
  Description facts = description;
  const std::string headline = cell_text(facts.at("kind")) + " " + cell_text(facts.at("path"));
  facts.erase("kind");
  facts.erase("path");
  return headline + "\n" + object_lines(facts, 2);
}

}  // namespace collimate::detail
