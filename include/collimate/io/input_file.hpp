#pragma once
// Reading existing files: small ones as text, large ones mapped or at given places; and what the file system
// says of them.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "collimate/base/unique_handle.hpp"
#include "collimate/io/file_descriptor.hpp"

namespace collimate {

/// The whole file. *Local.* Throws InputError with path and reason when it is missing or cannot be read.
std::string read_text_file(const std::string& path);
/// The same, or nullopt where there is no such file.
std::optional<std::string> find_text_file(const std::string& path);

/// Whether `name` can be that of a file in a known folder and leads nowhere else: not hidden, no path, of a length that
/// file systems take. Pure.
bool is_plain_file_name(std::string_view name);

/// What changes with a file's content: any write sets the time of change, which no program can set back. Times are
/// nanoseconds since 1970 by the clock of the file system.
struct FileState {
  std::uint64_t num_bytes = 0;
  std::int64_t modified_ns = 0;
  std::int64_t changed_ns = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileState&) const = default;
};

/// The state of what `path` leads to now, links followed; nullopt where there is nothing that can be asked. *Local.*
std::optional<FileState> find_file_state(const std::string& path);

/// A file that is read at given places. One that is cut meanwhile is an error, not a signal as for a MappedFile.
class InputFile {
 public:
  /// *Local.* Throws InputError when it is missing, not a plain file or unreadable.
  explicit InputFile(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// Fills `into` with the bytes from `offset` on. *Local.* Throws InputError, also where the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> into) const;
  /// Says that bytes will be read soon, so that the disk may begin. *Local.* Changes nothing else.
  void expect(std::uint64_t offset, std::uint64_t num_bytes) const noexcept;

 private:
  std::string path_;
  FileDescriptor descriptor_;
};

struct MappingTraits {
  struct Raw {
    void* address = nullptr;
    std::size_t bytes = 0;
    bool operator==(const Raw&) const = default;
  };
  static Raw null() noexcept { return {}; }
  static void close(Raw raw) noexcept;
};

/// A file in memory, read page by page as it is touched. It must not shrink while mapped; what Collimate writes never
/// does.
class MappedFile {
 public:
  /// *Local.* Throws InputError when it is missing, not a plain file or unreadable.
  explicit MappedFile(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  /// As the file was when it was opened, before any byte was read.
  [[nodiscard]] const FileState& state() const noexcept { return state_; }
  /// Valid as long as this object.
  [[nodiscard]] std::span<const std::byte> bytes() const noexcept;

 private:
  std::string path_;
  FileState state_;
  UniqueHandle<MappingTraits> mapping_;
};

}  // namespace collimate
