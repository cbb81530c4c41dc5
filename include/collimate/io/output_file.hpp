#pragma once
// A file being written, with every failure an error that names the path and the system's reason.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "collimate/io/block_hashes.hpp"
#include "collimate/io/file_descriptor.hpp"

namespace collimate {

/// A new file, appended to and then closed. Destroyed before `close` it leaves a file that is not durable and may be
/// cut.
class OutputFile {
 public:
  /// Creates `path`, which must not exist. *Local.* Throws InputError: the place was chosen by the user.
  explicit OutputFile(const std::string& path);
  /// The same, for a file that the user knows by another name, which messages then bear.
  OutputFile(std::string path, std::string known_as);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] std::uint64_t num_bytes() const noexcept { return num_bytes_; }

  /// XXH3-128 of each kBlockBytes that were written, the last ones perhaps fewer: see BlockHashes.
  [[nodiscard]] std::vector<Hash128> block_hashes() const { return hashes_.digests(); }

  /// Appends. Throws Error, for example on a full disk.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Takes so many more bytes of the disk, zeros behind what is written, so that whoever writes there meets no full
  /// disk. Throws Error.
  void reserve(std::uint64_t num_bytes);

  /// Makes the content durable (fsync) and closes. Throws Error.
  void close();

 private:
  void append(std::span<const std::byte> bytes);
  void start_write_back();

  std::string path_;
  std::string known_as_;
  FileDescriptor descriptor_;
  std::uint64_t num_bytes_ = 0;
  std::uint64_t num_written_back_ = 0;  // what the disk was asked to write already
  BlockHashes hashes_;
};

/// Makes what stands in a folder (its names) or an existing file (its bytes) durable. Throws Error.
void sync_path(const std::string& path);

}  // namespace collimate
