#include "collimate/io/file_lock.hpp"

#include <array>
#include <cerrno>
#include <ctime>

#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_name.hpp"
#include "system_error.hpp"

namespace collimate {

namespace {

std::string own_name() {
  return fmt::format("process {} on {} since {:%F %T}", getpid(), host_name(), fmt::localtime(std::time(nullptr)));
}

std::string holder_of(int file) {
  std::array<char, 512> text{};
  const ssize_t length = pread(file, text.data(), text.size(), 0);
  return length > 0 ? std::string(text.data(), static_cast<std::size_t>(length)) : "another process";
}

/// Whether the locked file is still the one of that name: its last holder may have removed it meanwhile.
bool is_named(int file, const std::string& path) {
  struct stat own{};
  struct stat named{};
  return fstat(file, &own) == 0 && stat(path.c_str(), &named) == 0 && own.st_ino == named.st_ino &&
         own.st_dev == named.st_dev;
}

}  // namespace

void LockFileTraits::close(Raw descriptor) noexcept { ::close(descriptor); }

FileLock::FileLock(const std::string& target) : path_(target + ".lock") {
  while (true) {
    UniqueHandle<LockFileTraits> file(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!file) detail::throw_system_error<InputError>(path_, "cannot be made");
    if (flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      throw InputError(
          fmt::format("{}: is being written by {}; wait until it has ended, or end it", target, holder_of(file.get())));
    }
    if (!is_named(file.get(), path_)) continue;
    const std::string name = own_name();
    const bool is_written = ftruncate(file.get(), 0) == 0 && pwrite(file.get(), name.data(), name.size(), 0) >= 0;
    static_cast<void>(is_written);  // who holds it is a courtesy
    file_ = std::move(file);
    return;
  }
}

FileLock::~FileLock() {
  if (file_) unlink(path_.c_str());
}

}  // namespace collimate
