#pragma once
// A small file written whole or not at all, without what io brings along (HDF5).

#include <filesystem>
#include <string_view>

namespace collimate {

/// Where the content stands until it is complete. The name is fixed, so that what a killed process left is written
/// over.
std::filesystem::path staging_path(const std::filesystem::path& target);

/// Replaces `target` by a file with `content` that survives a crash. *Local.* Throws std::system_error; the target then
/// is as before.
void write_durably(const std::filesystem::path& target, std::string_view content);

}  // namespace collimate
