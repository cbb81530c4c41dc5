#include "collimate/base/json.hpp"

#include <limits>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

/// Deeper than any file of ours; the library writes and copies a value by recursion.
constexpr int kMostNested = 100;

/// Follows the parser. Remembers the keys of every open object and refuses a repeated one, which the library would let
/// win silently.
class StrictEvents {
 public:
  explicit StrictEvents(const std::string& file) : file_(file) {}

  bool operator()(int depth, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    const bool is_start = event == Event::object_start || event == Event::array_start;
    if (is_start && depth >= kMostNested) {
      throw InputError(fmt::format("{}: is nested more than {} levels deep", file_, kMostNested));
    }
    if (event == Event::object_start) open_.emplace_back();
    if (event == Event::object_end) open_.pop_back();
    if (event == Event::key) {
      const auto key = parsed.get<std::string>();
      if (!open_.back().insert(key).second) throw InputError(fmt::format("{}: the key \"{}\" is repeated", file_, key));
    }
    return true;
  }

 private:
  const std::string& file_;
  std::vector<std::set<std::string>> open_;
};

}  // namespace

nlohmann::json parse_json(std::string_view text, const std::string& file) {
  try {
    return nlohmann::json::parse(text, StrictEvents(file));
  } catch (const nlohmann::json::exception& failure) {
    throw InputError(fmt::format("{}: is not valid JSON: {}", file, failure.what()));
  }
}

std::optional<std::int64_t> find_whole_number(const nlohmann::json& value) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  const bool is_too_large = value.is_number_unsigned() && value.get<std::uint64_t>() > kMost;
  return value.is_number_integer() && !is_too_large ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

}  // namespace collimate
