#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/io/atomic_file.hpp"
#include "collimate/io/atomic_folder.hpp"
#include "collimate/io/hdf5.hpp"
#include "collimate/io/output_file.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

TEST(AtomicTest, file_appears_only_by_commit) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "a.txt";
  write_bytes(target, "old");
  {
    AtomicFile staged(target);
    staged.write("ne");
    staged.write("w");
    EXPECT_EQ(read_bytes(target), "old");
    staged.commit();
  }
  EXPECT_EQ(read_bytes(target), "new");
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("a.txt"));
}

TEST(AtomicTest, abandoned_file_leaves_nothing) {
  const TemporaryFolder folder;
  {
    const AtomicFile staged(folder.path() / "a.txt");
  }
  EXPECT_TRUE(fs::is_empty(folder.path()));
}

TEST(AtomicTest, folders_above_a_file_are_made_and_go_again_where_nothing_was_written) {
  const TemporaryFolder folder;
  const fs::path outer = folder.path() / "a";
  {
    const AtomicFile abandoned(outer / "b" / "c.txt");
    EXPECT_TRUE(fs::is_directory(outer / "b"));
  }
  EXPECT_FALSE(fs::exists(outer));
  {
    const AtomicFolder abandoned(outer / "b" / "model");
  }
  EXPECT_FALSE(fs::exists(outer));
  fs::create_directory(outer);
  {
    const AtomicFile abandoned(outer / "b" / "c.txt");
  }
  EXPECT_TRUE(fs::is_empty(outer)) << "what was there stays";
  EXPECT_THAT([&] { AtomicFile("/proc/none/a.txt"); }, throws<InputError>(HasSubstr("the folder /proc/none cannot")));
  write_file_atomically(outer / "b" / "c.txt", "content");
  EXPECT_EQ(read_bytes(outer / "b" / "c.txt"), "content");
}

TEST(AtomicTest, written_file_has_the_usual_permissions) {
  const TemporaryFolder folder;
  write_file_atomically(folder.path() / "a.txt", "content");
  write_bytes(folder.path() / "b.txt", "content");
  EXPECT_EQ(read_bytes(folder.path() / "a.txt"), "content");
  EXPECT_EQ(fs::status(folder.path() / "a.txt").permissions(), fs::status(folder.path() / "b.txt").permissions());
}

TEST(AtomicTest, unwritable_places_are_the_users_error) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "file", "");
  EXPECT_THAT([&] { AtomicFile(folder.path() / "file" / "sub" / "a.txt"); },
              throws<InputError>(AllOf(HasSubstr("sub/a.txt: the folder "), HasSubstr("Not a directory"))));
  EXPECT_THAT([&] { AtomicFile(folder.path().string()); }, throws<InputError>(HasSubstr("is a folder")));
  EXPECT_THAT([&] { AtomicFolder(folder.path() / "file" / "sub"); },
              throws<InputError>(AllOf(HasSubstr("file"), HasSubstr("Not a directory"))));
  EXPECT_THAT([&] { AtomicFile("/proc/a.txt"); }, throws<InputError>(HasSubstr("/proc/a.txt: cannot be created")));
}

TEST(AtomicTest, full_disk_is_a_failure_with_path_and_reason) {
  const SmallDisk disk(65536);
  write_bytes(disk.path() / "a.txt", "old");
  const std::string large(200'000, 'x');
  EXPECT_THAT([&] { write_file_atomically(disk.path() / "a.txt", large); },
              throws<Error>(AllOf(HasSubstr("a.txt"), HasSubstr("No space left on device"))));
  EXPECT_EQ(read_bytes(disk.path() / "a.txt"), "old");
  EXPECT_THAT(names_in(disk.path()), UnorderedElementsAre("a.txt"));
}

TEST(AtomicTest, full_disk_is_found_when_an_hdf5_file_is_written) {
  const SmallDisk disk(65536);
  EXPECT_THAT(
      [&] {
        Hdf5Writer writer(disk.path() / "a.h5");
        writer.write("values", std::vector<double>(100'000, 0.5));
        writer.commit();
      },
      throws<Error>(AllOf(HasSubstr("a.h5"), HasSubstr("No space left on device"))));
  EXPECT_TRUE(fs::is_empty(disk.path()));
}

TEST(AtomicTest, read_only_disk_is_the_users_error) {
  SmallDisk disk(65536);
  disk.make_read_only();
  const auto names_disk = AllOf(HasSubstr(disk.path().string()), HasSubstr("Read-only file system"));
  EXPECT_THAT([&] { AtomicFile(disk.path() / "a.txt"); }, throws<InputError>(names_disk));
  EXPECT_THAT([&] { AtomicFolder(disk.path() / "folder"); }, throws<InputError>(names_disk));
  EXPECT_THAT([&] { replace_symlink(disk.path() / "latest", "x"); }, throws<Error>(names_disk));
}

TEST(AtomicTest, folder_appears_whole_and_only_by_commit) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "deep" / "model";
  {
    AtomicFolder staged(target + "/");
    OutputFile file(staged.staging_path() + "/weights");
    file.write("abc");
    file.close();
    EXPECT_FALSE(fs::exists(target));
    staged.commit();
  }
  EXPECT_EQ(read_bytes(target + "/weights"), "abc");
  EXPECT_THAT(names_in(folder.path() / "deep"), UnorderedElementsAre("model"));
  {
    const AtomicFolder abandoned(folder.path() / "deep" / "other");
  }
  EXPECT_THAT(names_in(folder.path() / "deep"), UnorderedElementsAre("model"));
}

TEST(AtomicTest, folder_refuses_or_replaces_what_is_there) {
  const TemporaryFolder folder;
  const std::string target = folder.path() / "model";
  fs::create_directory(target);
  {
    AtomicFolder onto_empty(target);
    write_bytes(onto_empty.staging_path() + "/old", "1");
    onto_empty.commit();
  }
  EXPECT_THAT([&] { const AtomicFolder refused(target); }, throws<InputError>(HasSubstr("exists already")));
  AtomicFolder replacing(target, AtomicFolder::Existing::kReplace);
  write_bytes(replacing.staging_path() + "/new", "2");
  replacing.commit();
  EXPECT_THAT(names_in(target), UnorderedElementsAre("new"));
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("model"));
}

TEST(AtomicTest, symlink_is_replaced) {
  const TemporaryFolder folder;
  replace_symlink(folder.path() / "latest", "step_1");
  replace_symlink(folder.path() / "latest", "step_2");
  EXPECT_EQ(fs::read_symlink(folder.path() / "latest"), "step_2");
  EXPECT_THAT(names_in(folder.path()), UnorderedElementsAre("latest"));
}

}  // namespace
}  // namespace collimate
