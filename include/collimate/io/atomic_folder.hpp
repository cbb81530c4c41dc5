#pragma once
// Folders that appear whole or not at all, as AtomicFile does for one file.

#include <string>

#include "collimate/io/folders_above.hpp"

namespace collimate {

/// One staged folder. Without a commit it is removed with everything in it.
class AtomicFolder {
 public:
  /// What may stand at the target already.
  enum class Existing { kRefuse, kReplace };

  /// Creates the staging folder beside `target`, and the folders above as needed. *Local.* Throws InputError when that
  /// is not possible, or when the target exists, is not an empty folder, and `existing` is kRefuse.
  explicit AtomicFolder(std::string target, Existing existing = Existing::kRefuse);
  ~AtomicFolder();
  AtomicFolder(AtomicFolder&& other) noexcept;
  AtomicFolder& operator=(AtomicFolder&&) = delete;

  /// Where to write until `commit`.
  [[nodiscard]] const std::string& staging_path() const noexcept { return staging_; }
  [[nodiscard]] const std::string& target() const noexcept { return target_; }

  /// Makes all files and folders inside durable, then renames. Throws Error; the target then is as before.
  void commit();

 private:
  std::string target_;
  FoldersAbove folders_;
  std::string staging_;
  Existing existing_;
};

}  // namespace collimate
