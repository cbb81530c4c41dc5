#include "collimate/io/file_lock.hpp"

#include <filesystem>
#include <fstream>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "collimate/base/error.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;

class FileLockTest : public testing::Test {
 protected:
  [[nodiscard]] std::string target() const { return (folder_.path() / "store.h5").string(); }
  [[nodiscard]] std::string lock_file() const { return target() + ".lock"; }

  std::string refusal() const {
    try {
      const FileLock second(target());
    } catch (const InputError& error) {
      return error.what();
    }
    return "";
  }

 private:
  TemporaryFolder folder_;
};

TEST_F(FileLockTest, the_second_one_is_told_who_holds_it) {
  std::optional<FileLock> first(std::in_place, target());
  EXPECT_THAT(refusal(), testing::AllOf(testing::HasSubstr(target()),
                                        testing::HasSubstr("process " + std::to_string(getpid()) + " on ")));
  first.reset();
  EXPECT_FALSE(fs::exists(lock_file()));
  EXPECT_EQ(refusal(), "");
}

TEST_F(FileLockTest, what_a_killed_process_left_holds_nobody_up) {
  std::ofstream(lock_file()) << "process 1 on elsewhere";
  EXPECT_EQ(refusal(), "");
  EXPECT_FALSE(fs::exists(lock_file()));
}

TEST_F(FileLockTest, a_moved_lock_is_given_back_once) {
  std::optional<FileLock> first(std::in_place, target());
  std::optional<FileLock> second(std::move(*first));
  first.reset();
  EXPECT_NE(refusal(), "");
  second.reset();
  EXPECT_EQ(refusal(), "");
}

TEST_F(FileLockTest, a_folder_that_is_not_there_is_named) {
  try {
    const FileLock lock("/nowhere/store.h5");
    FAIL();
  } catch (const InputError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("/nowhere/store.h5.lock: cannot be made: No such file"));
  }
}

}  // namespace
}  // namespace collimate
