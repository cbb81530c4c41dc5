#include "collimate/io/atomic_folder.hpp"

#include <cstdio>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

#include "collimate/base/error.hpp"
#include "collimate/io/output_file.hpp"
#include "staging.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

/// Neither absent nor an empty folder. What cannot even be looked at is reported when the staging folder is created.
bool is_in_use(const std::string& path) {
  std::error_code failure;
  if (!fs::exists(path, failure)) return false;
  return !(fs::is_directory(path, failure) && fs::is_empty(path, failure));
}

/// The target as its folder and name, once it may be written.
std::string free_target(std::string path, AtomicFolder::Existing existing) {
  std::string target = detail::without_trailing_slash(std::move(path));
  if (existing == AtomicFolder::Existing::kRefuse && is_in_use(target)) {
    throw InputError(fmt::format("{}: exists already; name a folder that does not exist or is empty", target));
  }
  return target;
}

void sync_tree(const std::string& root) {
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_symlink()) sync_path(entry.path().string());
  }
  sync_path(root);
}

/// Puts `staged` in the place of the folder `target`, which ends up under the staged name.
void exchange_folders(const std::string& staged, const std::string& target) {
  if (::renameat2(AT_FDCWD, staged.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) == 0) return;
  // Not every file system can exchange; two renames leave a moment without the target.
  const std::string replaced = detail::staging_name(target, "replaced");
  detail::rename_path(target, replaced);
  detail::rename_path(staged, target);
  detail::rename_path(replaced, staged);
}

}  // namespace

AtomicFolder::AtomicFolder(std::string target, Existing existing)
    : target_(free_target(std::move(target), existing)), folders_(target_), existing_(existing) {
  const std::string staging = detail::staging_name(target_, "staged");
  if (::mkdir(staging.c_str(), 0777) != 0) detail::throw_system_error<InputError>(target_, "cannot be created");
  staging_ = staging;
}

AtomicFolder::~AtomicFolder() {
  std::error_code ignored;
  if (!staging_.empty()) fs::remove_all(staging_, ignored);
}

AtomicFolder::AtomicFolder(AtomicFolder&& other) noexcept

    : target_(std::move(other.target_)),
      folders_(std::move(other.folders_)),
      staging_(std::exchange(other.staging_, {})),
      existing_(other.existing_) {}

void AtomicFolder::commit() {
  sync_tree(staging_);
  if (existing_ == Existing::kReplace && fs::exists(target_)) {
    exchange_folders(staging_, target_);
    std::error_code ignored;
    fs::remove_all(staging_, ignored);
  } else {
    detail::rename_path(staging_, target_);
  }
  staging_.clear();
  sync_path(detail::parent_folder(target_));
}

}  // namespace collimate
