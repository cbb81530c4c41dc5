#include "collimate/io/folders_above.hpp"

#include <algorithm>
#include <filesystem>
#include <ranges>

#include <sys/stat.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/io/output_file.hpp"
#include "staging.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

/// The folders above a path that do not exist, outermost first.
std::vector<std::string> missing_folders(const std::string& target) {
  std::vector<std::string> missing;
  std::error_code ignored;
  std::filesystem::path folder = detail::parent_folder(target);
  for (; folder.has_relative_path() && !std::filesystem::exists(folder, ignored); folder = folder.parent_path()) {
    missing.push_back(folder.string());
  }
  std::ranges::reverse(missing);
  return missing;
}

}  // namespace

// Delegates, so that what was made goes again when the next folder cannot be.
FoldersAbove::FoldersAbove(const std::string& target) : FoldersAbove() {
  for (const std::string& folder : missing_folders(target)) {
    if (::mkdir(folder.c_str(), 0777) == 0) {
      made_.push_back(folder);
      sync_path(detail::parent_folder(folder));
    } else if (errno != EEXIST) {
      const int code = errno;
      detail::throw_system_error<InputError>(target, fmt::format("the folder {} cannot be made", folder), code);
    }
  }
}

// A folder that something is in stays: rmdir refuses it.
FoldersAbove::~FoldersAbove() {
  for (const std::string& folder : std::views::reverse(made_)) static_cast<void>(::rmdir(folder.c_str()));
}

}  // namespace collimate
