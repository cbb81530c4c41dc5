#include "collimate/job/output_folder.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "collimate/config/load.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

namespace fs = std::filesystem;

namespace {

[[noreturn]] void refuse(const fs::path& path, const std::string& reason) {
  throw InputError(fmt::format("output.directory: {}: {}", path.string(), reason));
}

/// The folder itself, or the nearest one above it that exists and in which it would be created.
fs::path nearest_existing(fs::path path) {
  std::error_code error;
  while (!fs::exists(fs::symlink_status(path, error)) && path.has_relative_path()) path = path.parent_path();
  return path;
}

void require_writable_folder(const fs::path& path) {
  const fs::path existing = nearest_existing(path);
  std::error_code error;
  if (!fs::is_directory(existing, error)) {
    refuse(path,
           fmt::format("{} is not a folder; expected a folder or a path where one can be made", existing.string()));
  }
  // With the effective user, and true of a file system that is mounted read-only.
  if (faccessat(AT_FDCWD, existing.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    refuse(path, fmt::format("{} cannot be written ({}); expected a folder that can", existing.string(),
                             std::strerror(errno)));
  }
}

/// Whether a folder holds more than what a killed claim, or the watchdog of a job that did not get far, left in it.
bool has_content(const fs::path& folder, const fs::path& config_file) {
  return std::ranges::any_of(fs::directory_iterator(folder), [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename().string();
    const bool is_known = name.starts_with("checkpoints.lock") || name.starts_with(".checkpoints.lock.");
    return !is_known && name != "failures" && !is_staged_for(entry.path().string(), config_file.string());
  });
}

RunConfig load_earlier(const fs::path& directory, const fs::path& file) {
  try {
    return load_run_config(read_config_file(file.string()), file.string());
  } catch (const ConfigError& error) {
    refuse(directory, fmt::format("its config.yaml is not one of this program; expected a run or another directory\n{}",
                                  error.what()));
  }
}

/// Those of another identity that are not allowed, a line each.
std::string forbidden(const std::vector<FieldDifference>& differences, std::span<const std::string> allowed) {
  std::string fields;
  for (const FieldDifference& difference : differences) {
    if (difference.role != Role::kIdentity || std::ranges::count(allowed, difference.key_path) > 0) continue;
    fields += fmt::format("\n  {}: {} there, {} now", difference.key_path, difference.first, difference.second);
  }
  return fields;
}

void require_needed(std::span<const std::string> allowed, const std::vector<FieldDifference>& differences,
                    const fs::path& directory) {
  for (const std::string& key : allowed) {
    const bool differs = std::ranges::any_of(differences, [&](const FieldDifference& difference) {
      return difference.role == Role::kIdentity && difference.key_path == key;
    });
    if (differs) continue;
    throw InputError(
        fmt::format("--allow-change {}: this run has no such difference from the one in {}", key, directory.string()));
  }
}

std::vector<FieldDifference> differences_from_folder(const fs::path& directory, const fs::path& file,
                                                     const RunConfig& config, std::span<const std::string> allowed) {
  if (!fs::exists(file)) {
    if (fs::exists(directory) && has_content(directory, file)) {
      refuse(directory, "is not empty and not a run; expected a run, an empty folder or none");
    }
    return {};
  }
  auto differences = compare(load_earlier(directory, file), config);
  const std::string fields = forbidden(differences, allowed);
  if (fields.empty()) return differences;
  refuse(directory,
         "holds another run; expected the same values, or another directory, or --allow-change KEY for "
         "each that is meant:" +
             fields);
}

std::vector<FieldDifference> differences_from_checkpoint(const EarlierConfig& earlier, const RunConfig& config,
                                                         std::span<const std::string> allowed) {
  auto differences = compare(load_run_config(earlier.text, earlier.place), config);
  const std::string fields = forbidden(differences, allowed);
  if (fields.empty()) return differences;
  throw InputError(
      fmt::format("--resume {}: is of another run; expected the same values, or --allow-change KEY for each that is "
                  "meant:{}",
                  earlier.place, fields));
}

}  // namespace

OutputFolder OutputFolder::inspect(const RunConfig& config, const Continuation& continuation) {
  OutputFolder folder(with_absolute_paths(config));
  require_writable_folder(folder.path());
  require_writable_folder(folder.checkpoints());
  folder.is_continued_ = fs::exists(folder.config_file());
  auto differences = differences_from_folder(folder.path(), folder.config_file(), folder.config_, continuation.allowed);
  if (continuation.resumed_from) {
    std::ranges::copy_if(differences_from_checkpoint(*continuation.resumed_from, folder.config_, continuation.allowed),
                         std::back_inserter(differences), [&](const FieldDifference& difference) {
                           return std::ranges::count(differences, difference) == 0;
                         });
  }
  require_needed(continuation.allowed, differences, folder.path());
  std::ranges::copy_if(differences, std::back_inserter(folder.changes_), [](const FieldDifference& difference) {
    return difference.role == Role::kSchedule || difference.role == Role::kIdentity;
  });
  return folder;
}

void OutputFolder::lock(const Log& log) { lock_ = std::make_unique<FileLock>(checkpoints().string(), log); }

void OutputFolder::claim(const Log& log) {
  if (!lock_) lock(log);
  try {
    write_file_atomically(config_file().string(), dump_canonical(config_));
  } catch (const Error& error) {
    refuse(path_, fmt::format("expected a folder that can be written; {}", error.what()));
  }
}

}  // namespace collimate
