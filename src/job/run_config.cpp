#include "collimate/job/run_config.hpp"

#include "collimate/config/dump.hpp"
#include "collimate/config/load.hpp"
#include "collimate/job/cross_checks.hpp"

namespace collimate {

RunConfig load_run_config(std::string_view text, const std::string& file_name, std::span<const std::string> overrides) {
  Findings findings({.source = file_name, .line = 1, .column = 1});
  const auto config = load_config<RunConfig>(text, file_name, overrides, findings);
  check_across_fields(config, findings);
  findings.throw_if_any();
  return config;
}

std::string dump_canonical(const RunConfig& config) { return dump_canonical_yaml(config); }

RunConfig with_absolute_paths(RunConfig config, const std::filesystem::path& folder) {
  make_paths_absolute(config, folder);
  return config;
}

std::vector<FieldDifference> compare(const RunConfig& first, const RunConfig& second) {
  return compare_fields(list_fields(first), list_fields(second));
}

Hash128 identity_hash(const RunConfig& config) { return hash_identity(list_fields(config)); }

}  // namespace collimate
