#include "staging.hpp"

#include <cstdio>
#include <filesystem>

#include <unistd.h>

#include "collimate/base/error.hpp"
#include "system_error.hpp"

namespace collimate::detail {

std::string without_trailing_slash(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string parent_folder(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string staging_prefix(const std::string& target, const std::string& purpose) {
  const std::filesystem::path path(target);
  return (path.parent_path() / fmt::format(".{}.{}-", path.filename().string(), purpose)).string();
}

std::string staging_name(const std::string& target, const std::string& purpose) {
  const std::string prefix = staging_prefix(target, purpose);
  for (int n = 0;; ++n) {
    const std::filesystem::path candidate(fmt::format("{}{}-{}", prefix, ::getpid(), n));
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(candidate, ignored))) return candidate.string();
  }
}

void rename_path(const std::string& from, const std::string& target) {
  if (std::rename(from.c_str(), target.c_str()) != 0) throw_system_error<Error>(target, "cannot be put in place");
}

}  // namespace collimate::detail
