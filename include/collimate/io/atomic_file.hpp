#pragma once
// Files that appear whole or not at all: written under a staging name beside the target, made durable, then renamed.

#include <string>
#include <string_view>

namespace collimate {

/// One staged file. Without `commit` it is removed and the target stays as it was.
class AtomicFile {
 public:
  /// Reserves a staging name beside `target` by creating an empty file. *Local.* Throws InputError when the folder is
  /// missing or cannot be written, or `target` is a folder.
  explicit AtomicFile(std::string target);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  /// Where to write until `commit`; a writer may truncate or recreate it.
  [[nodiscard]] const std::string& staging_path() const noexcept { return staging_; }
  [[nodiscard]] const std::string& target() const noexcept { return target_; }

  /// Makes the staged file durable and gives it the target's name, replacing what was there. The writer has closed it.
  /// Throws Error; the target then is as before.
  void commit();

 private:
  std::string target_;
  std::string staging_;
};

/// Writes a small file atomically.
void write_file_atomically(const std::string& target, std::string_view content);

/// Makes `link` a relative symbolic link to `value`, replacing an older one atomically. Throws Error.
void replace_symlink(const std::string& link, const std::string& value);

}  // namespace collimate
