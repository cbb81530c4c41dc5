#pragma once
// Names for what is not complete yet: hidden, beside the target, different for every writer. Private to src/io.

#include <string>

namespace collimate::detail {

/// `path` without a slash at its end.
std::string without_trailing_slash(std::string path);

/// The folder that holds `path`.
std::string parent_folder(const std::string& path);

/// A name beside `target` that nothing has yet: ".NAME.PURPOSE-PID-N". The caller creates it exclusively.
std::string staging_name(const std::string& target, const std::string& purpose);

/// What the names of `staging_name` begin with, in the folder of `target`.
std::string staging_prefix(const std::string& target, const std::string& purpose);

/// Renames; throws Error with `target` in it.
void rename_path(const std::string& from, const std::string& target);

}  // namespace collimate::detail
