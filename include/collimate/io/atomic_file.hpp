#pragma once
// Files that appear whole or not at all: written under a staging name beside the target, made durable, then renamed.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "collimate/io/folders_above.hpp"
#include "collimate/io/output_file.hpp"

namespace collimate {

/// One staged file. Without `commit` it is removed and the target stays as it was.
class AtomicFile {
 public:
  /// Creates an empty file beside `target`, and the folders above as needed. *Local.* Throws InputError when a folder
  /// cannot be made or written, or `target` is a folder.
  explicit AtomicFile(std::string target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  [[nodiscard]] const std::string& target() const noexcept { return target_; }
  /// Where the staged file is.
  [[nodiscard]] const std::string& path() const noexcept { return file_.path(); }

  /// Appends to the staged file. Throws Error, for example on a full disk.
  void write(std::span<const std::byte> bytes) { file_.write(bytes); }
  void write(std::string_view text) { file_.write(text); }
  /// As OutputFile::reserve.
  void reserve(std::uint64_t num_bytes) { file_.reserve(num_bytes); }

  /// Makes the staged file durable and gives it the target's name, replacing what was there. Called once, last. Throws
  /// Error; the target then is as before.
  void commit();

 private:
  std::string target_;
  FoldersAbove folders_;
  OutputFile file_;
  bool committed_ = false;
};

/// Writes a small file atomically, as AtomicFile does.
void write_file_atomically(const std::string& target, std::string_view content);

/// Whether `path` is a staged file of `target`: one that is being written, or that a killed process left.
bool is_staged_for(const std::string& path, const std::string& target);

/// Removes what killed processes left of a target that nobody else writes now, as a FileLock makes sure. *Local.* What
/// cannot be removed stays.
void remove_staged_files(const std::string& target);

/// Makes `link` a relative symbolic link to `value`, replacing an older one atomically. Throws Error.
void replace_symlink(const std::string& link, const std::string& value);

}  // namespace collimate
