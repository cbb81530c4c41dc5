#include <set>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/io/input_file.hpp"

namespace collimate {

namespace {

/// Remembers the keys of every open object and refuses a repeated one, which the library would let win silently.
class DuplicateKeys {
 public:
  explicit DuplicateKeys(const std::string& file) : file_(file) {}

  bool operator()(int /*depth*/, nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
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
    return nlohmann::json::parse(text, DuplicateKeys(file));
  } catch (const nlohmann::json::exception& failure) {
    throw InputError(fmt::format("{}: is not valid JSON: {}", file, failure.what()));
  }
}

}  // namespace collimate
