#include "config_reader.hpp"

#include <cmath>

#include <fmt/format.h>

#include "collimate/base/json.hpp"

namespace collimate::detail {

const nlohmann::json* ConfigReader::find(std::string_view key) const {
  const auto place = object_.find(key);
  return place == object_.end() || place->is_null() ? nullptr : &*place;
}

std::int64_t ConfigReader::integer(std::string_view key, std::int64_t fallback, IntegerRange range) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  const auto number = find_whole_number(*value);
  if (number && *number >= range.least && *number <= range.most) return *number;
  problem(key, fmt::format("must be an integer from {} to {}", range.least, range.most));
  return fallback;
}

std::int64_t ConfigReader::required_integer(std::string_view key, IntegerRange range) {
  if (!has(key)) missing(key, "a positive integer");
  return integer(key, 1, range);
}

double ConfigReader::positive(std::string_view key, double fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_number()) {
    const auto number = value->get<double>();
    if (std::isfinite(number) && number > 0) return number;
  }
  problem(key, "must be a number above 0");
  return fallback;
}

double ConfigReader::required_positive(std::string_view key) {
  if (!has(key)) missing(key, "a number above 0");
  return positive(key, 1.0);
}

bool ConfigReader::boolean(std::string_view key, bool fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  problem(key, "must be true or false");
  return fallback;
}

std::optional<std::string> ConfigReader::text(std::string_view key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  problem(key, "must be a string");
  return std::nullopt;
}

void ConfigReader::problem(std::string_view key, const std::string& what) {
  const nlohmann::json* value = find(key);
  problems_.push_back(fmt::format("{}{}: {}: {}", path_, key, value == nullptr ? "null" : value->dump(), what));
}

void ConfigReader::missing(std::string_view key, const std::string& what) {
  problems_.push_back(fmt::format("{}{}: missing: must be {}", path_, key, what));
}

}  // namespace collimate::detail
