#pragma once
// A run's configuration from its text to checked values, and back to canonical text. The text comes first: one rank
// reads the file (read_config_file), all ranks parse the same bytes.

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/config/compare.hpp"
#include "collimate/config/findings.hpp"
#include "collimate/job/config.hpp"

namespace collimate {

/// Reads the YAML `text`, applies `overrides` ("key.path=value", in their order) and checks every field and how they
/// fit together. `file_name` is for messages. *Local.* Throws ConfigError with everything that is wrong.
RunConfig load_run_config(std::string_view text, const std::string& file_name,
                          std::span<const std::string> overrides = {});

/// Valid YAML with every key and default; loading it gives the same configuration. *Local.*
std::string dump_canonical(const RunConfig& config);

/// The same configuration with its relative paths resolved against `folder`. *Local.*
RunConfig with_absolute_paths(RunConfig config, const std::filesystem::path& folder = std::filesystem::current_path());

/// The fields in which two configurations differ, in the order of the canonical text. *Local.*
std::vector<FieldDifference> compare(const RunConfig& first, const RunConfig& second);

/// Hash of the fields with the role of identity: equal for configurations that continue one another's run. *Local.*
Hash128 identity_hash(const RunConfig& config);

}  // namespace collimate
