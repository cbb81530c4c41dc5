#include "collimate/io/input_file.hpp"

#include <climits>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

std::int64_t nanoseconds_of(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + std::int64_t{time.tv_nsec};
}

FileState state_of(const struct stat& status) {
  return {.num_bytes = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = nanoseconds_of(status.st_mtim),
          .changed_ns = nanoseconds_of(status.st_ctim),
          .inode = status.st_ino};
}

FileDescriptor open_for_reading(const std::string& path, FileState& state) {
  FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status = {};
  if (!descriptor || ::fstat(descriptor.get(), &status) != 0) {
    detail::throw_system_error<InputError>(path, "cannot be read");
  }
  if (!S_ISREG(status.st_mode)) throw InputError(fmt::format("{}: is not a file", path));
  state = state_of(status);
  return descriptor;
}

/// Fills `into` from `offset` on, or as much of it as the file has: how much that was.
std::size_t read_from(const std::string& path, const FileDescriptor& descriptor, std::uint64_t offset,
                      std::span<std::byte> into) {
  std::size_t filled = 0;
  while (filled < into.size()) {
    const ssize_t got =
        ::pread(descriptor.get(), into.data() + filled, into.size() - filled, static_cast<off_t>(offset + filled));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) detail::throw_system_error<InputError>(path, "cannot be read");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  return filled;
}

}  // namespace

std::string read_text_file(const std::string& path) {
  FileState state;
  const FileDescriptor descriptor = open_for_reading(path, state);
  std::string text(state.num_bytes, '\0');
  text.resize(read_from(path, descriptor, 0, std::as_writable_bytes(std::span(text))));
  return text;
}

std::optional<std::string> find_text_file(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  return read_text_file(path);
}

bool is_plain_file_name(std::string_view name) {
  constexpr std::string_view kSeparators("/\0", 2);
  return !name.empty() && name.size() <= NAME_MAX && !name.starts_with('.') &&
         name.find_first_of(kSeparators) == std::string_view::npos;
}

std::optional<FileState> find_file_state(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? std::optional(state_of(status)) : std::nullopt;
}

InputFile::InputFile(std::string path) : path_(std::move(path)) {
  FileState state;
  descriptor_ = open_for_reading(path_, state);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  const std::size_t filled = read_from(path_, descriptor_, offset, into);
  if (filled == into.size()) return;
  throw InputError(fmt::format("{}: ends at byte {}, but bytes up to {} are expected", path_, offset + filled,
                               offset + into.size()));
}

void InputFile::expect(std::uint64_t offset, std::uint64_t num_bytes) const noexcept {
  static_cast<void>(::posix_fadvise(descriptor_.get(), static_cast<off_t>(offset), static_cast<off_t>(num_bytes),
                                    POSIX_FADV_WILLNEED));
}

void MappingTraits::close(Raw raw) noexcept { static_cast<void>(::munmap(raw.address, raw.bytes)); }

MappedFile::MappedFile(std::string path) : path_(std::move(path)) {
  const FileDescriptor descriptor = open_for_reading(path_, state_);
  const std::size_t num_bytes = state_.num_bytes;
  if (num_bytes == 0) return;  // an empty mapping is not possible, and not needed
  void* const address = ::mmap(nullptr, num_bytes, PROT_READ, MAP_PRIVATE, descriptor.get(), 0);
  if (address == MAP_FAILED) detail::throw_system_error<InputError>(path_, "cannot be mapped");
  mapping_.reset({address, num_bytes});
}

std::span<const std::byte> MappedFile::bytes() const noexcept {
  return {static_cast<const std::byte*>(mapping_.get().address), mapping_.get().bytes};
}

}  // namespace collimate
