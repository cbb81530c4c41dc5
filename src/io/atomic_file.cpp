#include "collimate/io/atomic_file.hpp"

#include <filesystem>
#include <utility>

#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/io/output_file.hpp"
#include "staging.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

constexpr const char* kStaged = "staged";

/// Creates the staging file, or says in the target's name why not.
OutputFile create_staged(const std::string& target) {
  std::error_code ignored;
  if (std::filesystem::is_directory(target, ignored)) {
    throw InputError(fmt::format("{}: is a folder; the name of a file is expected", target));
  }
  return OutputFile(detail::staging_name(target, kStaged), target);
}

}  // namespace

AtomicFile::AtomicFile(std::string target)
    : target_(std::move(target)), folders_(target_), file_(create_staged(target_)) {}

AtomicFile::~AtomicFile() {
  if (!committed_) static_cast<void>(::unlink(file_.path().c_str()));
}

void AtomicFile::commit() {
  file_.close();
  detail::rename_path(file_.path(), target_);
  committed_ = true;
  sync_path(detail::parent_folder(target_));
}

void write_file_atomically(const std::string& target, std::string_view content) {
  AtomicFile staged(target);
  staged.write(content);
  staged.commit();
}

bool is_staged_for(const std::string& path, const std::string& target) {
  return path.starts_with(detail::staging_prefix(target, kStaged));
}

void remove_staged_files(const std::string& target) {
  std::error_code failure;
  for (const auto& entry : std::filesystem::directory_iterator(detail::parent_folder(target), failure)) {
    const std::string name = entry.path().filename().string();
    const auto in_folder_of_target = std::filesystem::path(target).parent_path() / name;
    if (is_staged_for(in_folder_of_target.string(), target)) std::filesystem::remove(entry.path(), failure);
  }
}

void replace_symlink(const std::string& link, const std::string& value) {
  const std::string staging = detail::staging_name(link, kStaged);
  if (::symlink(value.c_str(), staging.c_str()) != 0) detail::throw_system_error<Error>(link, "cannot be created");
  if (std::rename(staging.c_str(), link.c_str()) != 0) {
    const int code = errno;
    static_cast<void>(::unlink(staging.c_str()));
    detail::throw_system_error<Error>(link, "cannot be put in place", code);
  }
  sync_path(detail::parent_folder(link));
}

}  // namespace collimate
