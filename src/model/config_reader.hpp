#pragma once
// Typed reading of one JSON object that collects problems instead of stopping at the first.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace collimate::detail {

/// What an integer may be. The greatest keeps the product of any two sizes inside 64 bits.
struct IntegerRange {
  std::int64_t least = 1;
  std::int64_t most = 2147483647;
};

/// Reads keys of an object; a null value counts as missing, as in transformers. Problems go to a list that outlives it.
class ConfigReader {
 public:
  /// `path` precedes key names in messages ("" at the top, "rope_parameters." below). Neither is owned.
  ConfigReader(const nlohmann::json& object, std::string path, std::vector<std::string>& problems)
      : object_(object), path_(std::move(path)), problems_(problems) {}

  [[nodiscard]] bool has(std::string_view key) const { return find(key) != nullptr; }
  [[nodiscard]] const nlohmann::json* find(std::string_view key) const;

  /// The value, `fallback` when it is missing, or `fallback` and a problem when it is not an integer in `range`.
  std::int64_t integer(std::string_view key, std::int64_t fallback, IntegerRange range = {});
  std::int64_t required_integer(std::string_view key, IntegerRange range = {});
  /// The same for a finite number > 0.
  double positive(std::string_view key, double fallback);
  double required_positive(std::string_view key);
  bool boolean(std::string_view key, bool fallback);
  std::optional<std::string> text(std::string_view key);

  /// Notes "<key>: <value>: <what would be right>".
  void problem(std::string_view key, const std::string& what);
  /// Notes that a key is missing.
  void missing(std::string_view key, const std::string& what);

 private:
  const nlohmann::json& object_;
  std::string path_;
  std::vector<std::string>& problems_;
};

}  // namespace collimate::detail
