#include "collimate/io/output_file.hpp"

#include <algorithm>

#include <fcntl.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

/// What a file holds back of the disk's work at most: so much is hashed and copied while the disk writes as much.
constexpr std::uint64_t kWriteBackBytes = 32 * kBlockBytes;

}  // namespace

void FileDescriptorTraits::close(Raw raw) noexcept { static_cast<void>(::close(raw)); }

OutputFile::OutputFile(const std::string& path) : OutputFile(path, path) {}

OutputFile::OutputFile(std::string path, std::string known_as)
    : path_(std::move(path)), known_as_(std::move(known_as)) {
  descriptor_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!descriptor_) detail::throw_system_error<InputError>(known_as_, "cannot be created");
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    // By parts that are still in the processor's cache when they are copied.
    const auto part = bytes.first(std::min<std::uint64_t>(bytes.size(), kBlockBytes));
    hashes_.update(part);
    append(part);
    start_write_back();
    bytes = bytes.subspan(part.size());
  }
}

void OutputFile::append(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) detail::throw_system_error<Error>(known_as_, "cannot be written");
    num_bytes_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

// Where it cannot be done, close() waits longer: it alone makes the file durable, and meets the errors.
void OutputFile::start_write_back() {
  const std::uint64_t num_waiting = num_bytes_ - num_written_back_;
  if (num_waiting < kWriteBackBytes) return;
  static_cast<void>(::sync_file_range(descriptor_.get(), static_cast<off_t>(num_written_back_),
                                      static_cast<off_t>(num_waiting), SYNC_FILE_RANGE_WRITE));
  num_written_back_ = num_bytes_;
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text.data(), text.size()))); }

void OutputFile::reserve(std::uint64_t num_bytes) {
  if (num_bytes == 0) return;
  const int failure =
      ::posix_fallocate(descriptor_.get(), static_cast<off_t>(num_bytes_), static_cast<off_t>(num_bytes));
  if (failure != 0) detail::throw_system_error<Error>(known_as_, "cannot be given its room", failure);
}

void OutputFile::close() {
  if (::fsync(descriptor_.get()) != 0) detail::throw_system_error<Error>(known_as_, "cannot be made durable");
  if (::close(descriptor_.release()) != 0) detail::throw_system_error<Error>(known_as_, "cannot be closed");
}

void sync_path(const std::string& path) {
  const FileDescriptor descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!descriptor) detail::throw_system_error<Error>(path, "cannot be opened to make it durable");
  // Some file systems cannot sync a folder and say so by EINVAL; their renames are durable by themselves.
  if (::fsync(descriptor.get()) != 0 && errno != EINVAL) {
    detail::throw_system_error<Error>(path, "cannot be made durable");
  }
}

}  // namespace collimate
