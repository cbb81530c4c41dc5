#pragma once
// run.json: what ran, where and on what, for people and for later tools.

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "collimate/mesh/mesh_shape.hpp"

namespace collimate::detail {

struct RunRecord {
  MeshShape mesh;
  std::vector<std::string> hosts;  // one a rank
  std::map<std::string, std::string> fingerprints;
};

/// *Local.* Replaces the file atomically. Throws Error or InputError when it cannot be written.
void write_run_record(const std::filesystem::path& file, const RunRecord& record);

}  // namespace collimate::detail
