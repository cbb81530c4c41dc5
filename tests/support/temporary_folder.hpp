#pragma once
// A folder of its own for each test, and what tests do to files in it.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <string_view>

#include <sys/stat.h>
#include <unistd.h>

namespace collimate {

/// Made empty, removed with everything in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "collimate_test.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder: " + pattern);
    path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string read_bytes(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot be read: " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::filesystem::path& path, std::string_view bytes) {
  std::filesystem::remove(path);  // some file systems flush to disk when a file is cut to nothing and written again
  std::ofstream file(path, std::ios::binary);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot be written: " + path.string());
}

/// Waits until a change of the file would bear another time than its last one: clocks of file systems are coarse.
inline void wait_for_clock_tick(const std::filesystem::path& path) {
  const auto changed = [](const std::filesystem::path& of) {
    struct stat status = {};
    if (::stat(of.c_str(), &status) != 0) throw std::runtime_error("cannot be asked: " + of.string());
    return std::pair(status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  };
  const std::filesystem::path probe = path.string() + ".tick";
  do write_bytes(probe, "");
  while (changed(probe) <= changed(path));
  std::filesystem::remove(probe);
}

/// Inverts all bits of one byte, in place.
inline void flip_byte(const std::filesystem::path& path, std::uintmax_t position) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekg(static_cast<std::streamoff>(position));
  const int byte = file.get();
  file.seekp(static_cast<std::streamoff>(position));
  file.put(static_cast<char>(~byte));
  if (!file.flush()) throw std::runtime_error("cannot be changed: " + path.string());
}

}  // namespace collimate
