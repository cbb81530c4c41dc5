#pragma once
// A real file system that is soon full, or read-only, for tests of what root cannot be refused otherwise. Mounted in a
// private mount namespace, so that nothing of it is seen outside this process.

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <system_error>

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "support/temporary_folder.hpp"

namespace collimate {

/// Mounts at construction, unmounts at destruction. Throws where the system forbids mounting: a test that lacks its
/// disk fails. Without root a user namespace is used, which needs a process of one thread.
class SmallDisk {
 public:
  explicit SmallDisk(std::size_t num_bytes) {
    enter_private_namespace();
    require(::mount("none", path().c_str(), "tmpfs", 0, ("size=" + std::to_string(num_bytes)).c_str()), "mount");
  }
  ~SmallDisk() { static_cast<void>(::umount2(path().c_str(), MNT_DETACH)); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }
  void make_read_only() const {
    require(::mount("none", path().c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), "remount");
  }

 private:
  static void require(int result, const char* what) {
    if (result != 0) throw std::system_error(errno, std::generic_category(), std::string("SmallDisk: ") + what);
  }

  static void enter_private_namespace() {
    const auto uid = ::getuid();
    if (::unshare(CLONE_NEWNS) != 0) {
      require(::unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare");
      std::ofstream("/proc/self/uid_map") << "0 " << uid << " 1\n";
    }
    require(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "make private");
  }

  TemporaryFolder folder_;
};

}  // namespace collimate
