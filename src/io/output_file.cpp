#include "collimate/io/output_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "system_error.hpp"

namespace collimate {

void FileDescriptorTraits::close(Raw raw) noexcept { static_cast<void>(::close(raw)); }

OutputFile::OutputFile(const std::string& path) : OutputFile(path, path) {}

OutputFile::OutputFile(std::string path, std::string known_as)
    : path_(std::move(path)), known_as_(std::move(known_as)) {
  descriptor_.reset(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!descriptor_) detail::throw_system_error<InputError>(known_as_, "cannot be created");
}

void OutputFile::write(std::span<const std::byte> bytes) {
  hashes_.update(bytes);
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) detail::throw_system_error<Error>(known_as_, "cannot be written");
    num_bytes_ += static_cast<std::uint64_t>(written);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
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
