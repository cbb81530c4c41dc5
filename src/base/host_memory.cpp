#include "collimate/base/host_memory.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string>

namespace collimate {

namespace {

namespace fs = std::filesystem;

std::optional<std::int64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  std::int64_t value = 0;
  if (!(file >> value)) return std::nullopt;  // no such file, or "max"
  return value;
}

std::optional<std::int64_t> available_to_all(const fs::path& root) {
  std::ifstream file(root / "proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t kibibytes = 0;
    if (words >> name >> kibibytes && name == "MemAvailable:") return kibibytes * 1024;
  }
  return std::nullopt;
}

/// Files of one version of control groups.
struct ControlGroups {
  const char* mount;
  const char* limit;
  const char* usage;
};
constexpr ControlGroups kVersion1{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"};
constexpr ControlGroups kVersion2{"sys/fs/cgroup", "memory.max", "memory.current"};

/// Bytes of files that the kernel keeps for a group and gives up when memory is wanted; both versions name them alike.
std::int64_t kept_files(const fs::path& folder) {
  std::ifstream file(folder / "memory.stat");
  std::int64_t bytes = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::int64_t value = 0;
    if (words >> name >> value && (name == "inactive_file" || name == "active_file")) bytes += value;
  }
  return bytes;
}

/// What is left in the tightest of a group and those around it.
std::optional<std::int64_t> left_in_groups(const fs::path& root, const ControlGroups& groups, fs::path own) {
  std::optional<std::int64_t> least;
  own = own.relative_path();
  while (true) {
    const fs::path folder = root / groups.mount / own;
    const auto limit = read_number(folder / groups.limit);
    const auto usage = read_number(folder / groups.usage);
    if (limit) {
      const std::int64_t used = std::max<std::int64_t>(0, usage.value_or(0) - kept_files(folder));
      const std::int64_t left = std::max<std::int64_t>(0, *limit - used);
      least = std::min(least.value_or(left), left);
    }
    if (own.empty()) return least;
    own = own.parent_path();
  }
}

/// "0::/path" of version 2, "4:memory:/path" of version 1.
std::optional<std::int64_t> left_in_own_groups(const fs::path& root) {
  std::optional<std::int64_t> least;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (!controllers.empty() && controllers != "memory") continue;
    const auto left = left_in_groups(root, controllers.empty() ? kVersion2 : kVersion1, line.substr(second + 1));
    if (left) least = std::min(least.value_or(*left), *left);
  }
  return least;
}

}  // namespace

std::optional<std::int64_t> available_host_memory(const fs::path& root) {
  const auto all = available_to_all(root);
  const auto own = left_in_own_groups(root);
  if (!all || !own) return all ? all : own;
  return std::min(*all, *own);
}

}  // namespace collimate
