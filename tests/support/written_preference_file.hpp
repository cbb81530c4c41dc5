#pragma once
// What tests of preference files share: one in a folder of its own, written as it is and then opened.

#include <numeric>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/data/preference_file.hpp"
#include "support/preference_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {

inline std::vector<std::uint64_t> all_rows(const PreferenceFile& file) {
  std::vector<std::uint64_t> rows(file.num_pairs());
  std::iota(rows.begin(), rows.end(), std::uint64_t{0});
  return rows;
}

class WrittenPreferenceFile : public ::testing::Test {
 protected:
  [[nodiscard]] std::string path() const { return (folder_.path() / "pairs.h5").string(); }

  /// Writes `content`; what is returned opens it.
  [[nodiscard]] auto opening(const PreferenceContent& content) const {
    write_preference_file(path(), content);
    return [file = path()] { PreferenceFile{file}; };
  }

  /// The message of a refused file names the file and `place`.
  [[nodiscard]] auto refused_at(const std::string& place) const {
    return throws<InputError>(::testing::AllOf(::testing::HasSubstr(path()), ::testing::HasSubstr(place)));
  }

  TemporaryFolder folder_;
};

}  // namespace collimate
