#include "durable_text.hpp"

#include <cerrno>
#include <string>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "collimate/base/unique_handle.hpp"

namespace collimate {

namespace {

struct DescriptorTraits {
  using Raw = int;
  static Raw null() { return -1; }
  static void close(Raw descriptor) noexcept { ::close(descriptor); }
};
using Descriptor = UniqueHandle<DescriptorTraits>;

void require(bool succeeded, const std::filesystem::path& path) {
  if (!succeeded) throw std::system_error(errno, std::generic_category(), path.string());
}

Descriptor open_file(const std::filesystem::path& path, int flags) {
  Descriptor descriptor(::open(path.c_str(), flags | O_CLOEXEC, 0666));
  require(static_cast<bool>(descriptor), path);
  return descriptor;
}

void write_all(const Descriptor& file, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(file.get(), content.data(), content.size());
    require(written >= 0 || errno == EINTR, path);
    if (written > 0) content.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::filesystem::path staging_path(const std::filesystem::path& target) {
  return target.parent_path() / fmt::format(".{}.staging", target.filename().string());
}

void write_durably(const std::filesystem::path& target, std::string_view content) {
  const std::filesystem::path staging = staging_path(target);
  {
    const Descriptor file = open_file(staging, O_WRONLY | O_CREAT | O_TRUNC);
    write_all(file, content, staging);
    require(::fsync(file.get()) == 0, staging);
  }
  std::filesystem::rename(staging, target);
  require(::fsync(open_file(target.parent_path(), O_RDONLY | O_DIRECTORY).get()) == 0, target.parent_path());
}

}  // namespace collimate
