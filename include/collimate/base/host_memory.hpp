#pragma once
// How much memory this host still has for this process.

#include <cstdint>
#include <filesystem>
#include <optional>

namespace collimate {

/// Bytes that can be allocated without swapping: what the kernel says is available, or less where a control group
/// (a Slurm job, a container) has a limit. `root` is the file system's. *Local.* Nothing where the host does not say.
std::optional<std::int64_t> available_host_memory(const std::filesystem::path& root = "/");

}  // namespace collimate
