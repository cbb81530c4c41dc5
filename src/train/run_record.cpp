#include "run_record.hpp"

#include <ATen/Parallel.h>
#include <nlohmann/json.hpp>

#include "collimate/io/atomic_file.hpp"

namespace collimate::detail {

void write_run_record(const std::filesystem::path& file, const RunRecord& record) {
  const nlohmann::ordered_json json{
      {"collimate_version", COLLIMATE_VERSION},
      {"world_size", record.hosts.size()},
      {"layout", {{"data", record.mesh.data}, {"pipeline", record.mesh.pipeline}, {"tensor", record.mesh.tensor}}},
      {"threads_per_rank", at::get_num_threads()},
      {"fingerprints", record.fingerprints},
      {"hosts", record.hosts}};
  write_file_atomically(file.string(), json.dump(2) + "\n");
}

}  // namespace collimate::detail
