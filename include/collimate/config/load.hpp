#pragma once
// From the text of a configuration file and its overrides to a struct.

#include <span>
#include <string>
#include <string_view>

#include "collimate/config/override.hpp"
#include "collimate/config/walk.hpp"

namespace collimate {

/// The bytes of the file. *Local.* Throws ConfigError if it cannot be read.
std::string read_config_file(const std::string& file_name);

/// The tree of a configuration file: a map, or nothing and a finding.
std::optional<ConfigNode> parse_config(std::string_view text, const Place& root, Findings& findings);

/// Reads `text` and applies the overrides in their order. What is wrong is added to `findings`; the values are then not
/// to be used, but can be checked further, for what does not follow from those findings. `file_name` is for messages
/// only. *Local.*
template <ConfigStruct T>
T load_config(std::string_view text, const std::string& file_name, std::span<const std::string> overrides,
              Findings& findings) {
  T config;
  const ReadContext context(findings, list_keys<T>());
  const auto root = parse_config(text, {.source = file_name, .line = 1, .column = 1}, findings);
  if (!root) findings.throw_if_any();
  read_struct(*root, "", config, context);
  for (const std::string& override_text : overrides) {
    if (const auto given = parse_override(override_text, findings)) apply_override(*given, config, context);
  }
  find_missing_keys(config, "", findings);
  return config;
}

}  // namespace collimate
