#pragma once
// The fingerprint of a model folder's weights, kept beside the folder from one job to the next (docs/formats.md), so
// that weights which have not changed are not read again only to be hashed.

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "collimate/io/input_file.hpp"

namespace collimate {

/// A weight file and its state when it was opened.
struct WeightFile {
  std::string path;
  FileState state;
};

/// Where a folder's cache is: `<folder>.fingerprint.json`, links in `folder` resolved; in Hugging Face's own cache one
/// level up, since its tools call a cache corrupt that has a file among the snapshots. Empty when there is no such
/// folder. *Local.*
std::string fingerprint_cache_path(const std::string& folder);

/// The cache of one opened model folder. It is believed only where it says what a cache of these very files would say:
/// the same tensors from files of the same names, sizes, inodes and times of modification and change. It is no part of
/// the folder's content: what is wrong with it is never an error. Not seen is what changes bytes without the time of
/// change: a write to the device beneath the file system, and, where files live in memory alone or on another host, one
/// through a mapping.
class FingerprintCache {
 public:
  /// `tensor_list`: ModelSource::tensor_list_hash, since config.json decides which tensors of the files are hashed.
  FingerprintCache(const std::string& folder, const std::string& tensor_list, std::vector<WeightFile> files);

  /// Tensors and files as they were opened, as text. Ranks that have equal keys have opened the same files.
  [[nodiscard]] const std::string& key() const noexcept { return key_; }
  /// Whether the paths still lead to the files that were opened, unchanged. *Local.*
  [[nodiscard]] bool is_current() const;

  /// The fingerprint, as hexadecimal digits, where the cache has that of these files and is_current(). *Local.* Throws
  /// nothing that a file could cause.
  [[nodiscard]] std::optional<std::string> find() const;
  /// Before hashing, on the rank that saves: makes the files' bytes durable. What is hashed then is what a machine has
  /// that loses power, and further writes through mappings show in the time of change. False where that cannot be; then
  /// there is nothing to save. *Local.*
  [[nodiscard]] bool make_durable() const;
  /// Writes the cache atomically, in place of an older one, for bytes that were all read after `hashing_began`. Call it
  /// on one rank, where is_current() holds after hashing. Does nothing where the place cannot be written, or when a
  /// file had changed less than two seconds before: it might have changed again without another time to show it.
  /// *Local.*
  void save(const std::string& fingerprint, std::chrono::system_clock::time_point hashing_began) const;

 private:
  [[nodiscard]] std::string text_with(const std::string& fingerprint) const;

  std::string path_;
  std::vector<WeightFile> files_;
  std::string key_;
};

}  // namespace collimate
