#include "collimate/io/input_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/io/output_file.hpp"
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

}  // namespace

std::string read_text_file(const std::string& path) {
  FileState state;
  const FileDescriptor descriptor = open_for_reading(path, state);
  const std::size_t num_bytes = state.num_bytes;
  std::string text(num_bytes, '\0');
  std::size_t filled = 0;
  while (filled < num_bytes) {
    const ssize_t got = ::read(descriptor.get(), text.data() + filled, num_bytes - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) detail::throw_system_error<InputError>(path, "cannot be read");
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  text.resize(filled);
  return text;
}

std::optional<std::string> find_text_file(const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  return read_text_file(path);
}

std::optional<FileState> find_file_state(const std::string& path) {
  struct stat status = {};
  return ::stat(path.c_str(), &status) == 0 ? std::optional(state_of(status)) : std::nullopt;
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
