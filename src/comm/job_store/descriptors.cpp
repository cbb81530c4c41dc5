#include "collimate/comm/job_store/descriptors.hpp"

#include <filesystem>
#include <iterator>

#include <fmt/format.h>
#include <sys/resource.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/comm/job_store/store_server.hpp"

namespace collimate::detail {

namespace {

constexpr std::int64_t kConnectionsOfARank = 3;
// Data, weights, checkpoints, the reference store, logs, and the descriptors that libraries keep.
constexpr std::int64_t kFiles = 256;

std::int64_t num_open() {
  const std::filesystem::directory_iterator open("/proc/self/fd");
  return std::distance(begin(open), end(open));
}

}  // namespace

std::int64_t descriptors_needed(int world_size) {
  return kConnectionsOfARank * (world_size - 1) + kMostStrangers + kFiles;
}

void require_descriptors(int world_size) {
  const std::int64_t open = num_open();
  const std::int64_t needed = open + descriptors_needed(world_size);
  rlimit limit{};
  check(::getrlimit(RLIMIT_NOFILE, &limit) == 0, "a process knows its limits");
  if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= static_cast<rlim_t>(needed)) return;
  if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < static_cast<rlim_t>(needed)) {
    throw InputError(fmt::format(
        "rank 0 of {} ranks needs {} file descriptors ({} connections for each of {} other ranks, {} for others' "
        "attempts, {} files, {} that are "
        "open), and {} allows it {}: raise the hard limit there (ulimit -n {}; slurmd hands its own on: LimitNOFILE)",
        world_size, needed, kConnectionsOfARank, world_size - 1, kMostStrangers, kFiles, open, host_name(),
        limit.rlim_max, needed));
  }
  limit.rlim_cur = static_cast<rlim_t>(needed);
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) throw Error("the limit of file descriptors cannot be raised");
}

}  // namespace collimate::detail
