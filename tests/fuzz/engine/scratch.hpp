#pragma once
// The folder of a fuzzer's files.

#include <filesystem>

#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

/// Empty at first, gone with the process unless that dies of a finding.
inline const std::filesystem::path& scratch() {
  static const TemporaryFolder folder;
  return folder.path();
}

}  // namespace collimate::fuzz
