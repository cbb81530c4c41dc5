#include "collimate/store/fingerprint_cache.hpp"

#include <array>
#include <functional>

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "support/small_disk.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::UnorderedElementsAre;

constexpr const char* kFingerprint = "0123456789abcdef0123456789abcdef";
constexpr const char* kTensors = "fedcba9876543210fedcba9876543210";
constexpr std::array kNames{"model-0.safetensors", "model-1.safetensors"};

std::vector<std::string> listing_of(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  return names;
}

/// Sets a file's time of modification to what it was in `state`, as an archiver does.
void restore_modified(const std::string& path, const FileState& state) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  const timespec modified{.tv_sec = state.modified_ns / kSecond, .tv_nsec = state.modified_ns % kSecond};
  const std::array times{timespec{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, modified};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0), 0);
}

/// The cache of a folder whose files are opened now.
FingerprintCache open_cache(const fs::path& folder,
                            const std::vector<std::string>& names = {kNames.begin(), kNames.end()},
                            const std::string& tensors = kTensors) {
  std::vector<WeightFile> files;
  for (const std::string& name : names) {
    const std::string path = folder / name;
    files.push_back({.path = path, .state = find_file_state(path).value()});
  }
  return {folder, tensors, files};
}

void save_settled(const FingerprintCache& cache) {
  cache.save(kFingerprint, std::chrono::system_clock::now() + std::chrono::seconds(10));
}

class FingerprintCacheTest : public ::testing::Test {
 protected:
  FingerprintCacheTest() { write_folder(folder()); }

  static void write_folder(const fs::path& folder) {
    fs::create_directories(folder);
    for (const char* name : kNames) write_bytes(folder / name, std::string("the weights in ") + name);
  }
  fs::path folder() const { return root_.path() / "model"; }
  fs::path cache_file() const { return root_.path() / "model.fingerprint.json"; }
  std::string file() const { return folder() / kNames[1]; }

  /// Whether the cache of the unchanged file() is not believed after `change`.
  void expect_seen(const std::function<void(const FileState&)>& change) const {
    save_settled(open_cache(folder()));
    ASSERT_EQ(open_cache(folder()).find(), kFingerprint);
    const FileState before = find_file_state(file()).value();
    wait_for_clock_tick(file());
    change(before);
    EXPECT_EQ(open_cache(folder()).find(), std::nullopt);
  }

  TemporaryFolder root_;
};

TEST_F(FingerprintCacheTest, gives_the_next_job_what_was_saved_beside_the_folder) {
  EXPECT_EQ(open_cache(folder()).find(), std::nullopt);
  save_settled(open_cache(folder()));
  EXPECT_EQ(open_cache(folder()).find(), kFingerprint);
  EXPECT_EQ(open_cache(folder()).key(), open_cache(folder()).key());
  EXPECT_THAT(listing_of(root_.path()), UnorderedElementsAre("model", "model.fingerprint.json"));
  EXPECT_THAT(listing_of(folder()), UnorderedElementsAre(kNames[0], kNames[1]));
}

TEST_F(FingerprintCacheTest, is_the_same_by_whatever_path_the_folder_is_named) {
  fs::create_directory_symlink(folder(), root_.path() / "link");
  for (const fs::path& path : {folder(), folder() / "", folder() / ".", root_.path() / "link",
                               root_.path() / "model" / ".." / "link" / "", fs::relative(folder())}) {
    EXPECT_EQ(fingerprint_cache_path(path), fs::canonical(root_.path()) / "model.fingerprint.json") << path;
  }
  EXPECT_EQ(fingerprint_cache_path(root_.path() / "missing"), "");
}

TEST_F(FingerprintCacheTest, keeps_files_out_of_hugging_faces_snapshots) {
  const fs::path repository = fs::canonical(root_.path()) / "models--a--b";
  fs::create_directories(repository / "blobs");
  fs::create_directories(repository / "snapshots/0a1b");
  EXPECT_EQ(fingerprint_cache_path(repository / "snapshots/0a1b"), repository / "0a1b.fingerprint.json");
  fs::remove(repository / "blobs");
  EXPECT_EQ(fingerprint_cache_path(repository / "snapshots/0a1b"), repository / "snapshots/0a1b.fingerprint.json");
}

TEST_F(FingerprintCacheTest, sees_bytes_that_change_in_place_though_size_and_modification_time_stay) {
  expect_seen([&](const FileState& before) {
    flip_byte(file(), 3);
    restore_modified(file(), before);
    FileState after = find_file_state(file()).value();
    EXPECT_GT(after.changed_ns, before.changed_ns);
    after.changed_ns = before.changed_ns;
    EXPECT_EQ(after, before);
  });
}

TEST_F(FingerprintCacheTest, sees_a_file_put_in_the_place_of_another_of_equal_size_and_modification_time) {
  expect_seen([&](const FileState& before) {
    write_bytes(file() + ".new", std::string("The weights in ") + kNames[1]);
    restore_modified(file() + ".new", before);
    fs::rename(file() + ".new", file());
    const FileState after = find_file_state(file()).value();
    EXPECT_NE(after.inode, before.inode);
    EXPECT_EQ(after.num_bytes, before.num_bytes);
    EXPECT_EQ(after.modified_ns, before.modified_ns);
  });
}

TEST_F(FingerprintCacheTest, sees_another_size_and_another_modification_time) {
  expect_seen([&](const FileState& before) {
    fs::resize_file(file(), before.num_bytes + 1);
    restore_modified(file(), before);
  });
  expect_seen([&](FileState state) {
    state.modified_ns -= 1;
    restore_modified(file(), state);
  });
}

TEST_F(FingerprintCacheTest, sees_a_link_that_leads_elsewhere) {
  const fs::path blob = root_.path() / "blob";
  fs::rename(file(), blob);
  fs::create_symlink("../blob", file());
  expect_seen([&](const FileState& before) {
    write_bytes(root_.path() / "other", read_bytes(blob));
    restore_modified(root_.path() / "other", before);
    fs::remove(file());
    fs::create_symlink("../other", file());
  });
  expect_seen([&](const FileState&) { flip_byte(root_.path() / "other", 0); });
}

TEST_F(FingerprintCacheTest, is_of_all_files_and_of_the_tensors_that_are_hashed) {
  save_settled(open_cache(folder()));
  write_bytes(folder() / "added", "");
  EXPECT_EQ(open_cache(folder(), {kNames[0], kNames[1], "added"}).find(), std::nullopt);
  EXPECT_EQ(open_cache(folder(), {kNames[0]}).find(), std::nullopt);
  EXPECT_EQ(open_cache(folder(), {kNames[1], kNames[0]}).find(), std::nullopt);
  EXPECT_EQ(open_cache(folder(), {kNames[0], kNames[1]}, kFingerprint).find(), std::nullopt);
  EXPECT_EQ(open_cache(folder()).find(), kFingerprint);
  fs::rename(file(), folder() / "model-2.safetensors");
  EXPECT_EQ(open_cache(folder(), {kNames[0], "model-2.safetensors"}).find(), std::nullopt);
}

TEST_F(FingerprintCacheTest, is_of_the_files_as_they_were_opened) {
  const FingerprintCache opened = open_cache(folder());
  EXPECT_TRUE(opened.is_current());
  EXPECT_TRUE(opened.make_durable());
  save_settled(opened);
  wait_for_clock_tick(file());
  flip_byte(file(), 0);
  EXPECT_FALSE(opened.is_current());
  EXPECT_EQ(opened.find(), std::nullopt);
  fs::remove(file());
  EXPECT_FALSE(opened.is_current());
  EXPECT_FALSE(opened.make_durable());
}

TEST_F(FingerprintCacheTest, is_not_saved_while_a_file_may_change_within_one_tick_of_the_clock) {
  const FingerprintCache cache = open_cache(folder());
  std::int64_t last = 0;
  for (const char* name : kNames) last = std::max(last, find_file_state(folder() / name)->changed_ns);
  const std::chrono::system_clock::time_point changed{std::chrono::nanoseconds(last)};
  cache.save(kFingerprint, changed + std::chrono::seconds(2));
  EXPECT_FALSE(fs::exists(cache_file()));
  cache.save(kFingerprint, changed + std::chrono::seconds(2) + std::chrono::nanoseconds(1));
  EXPECT_EQ(open_cache(folder()).find(), kFingerprint);
}

TEST_F(FingerprintCacheTest, is_not_believed_and_made_anew_when_damaged_or_foreign) {
  save_settled(open_cache(folder()));
  const std::string content = read_bytes(cache_file());
  for (std::size_t place = 0; place < content.size(); ++place) {
    flip_byte(cache_file(), place);
    EXPECT_EQ(open_cache(folder()).find(), std::nullopt) << place;
    flip_byte(cache_file(), place);
  }
  std::string other_value = content;
  other_value[content.find(kFingerprint)] = '1';
  std::string other_version = content;
  other_version.replace(content.find("version\": 2"), 11, "version\": 1");
  for (const std::string& text :
       {std::string(), std::string("{}"), std::string("[1]"), std::string("no JSON"),
        std::string(R"({"fingerprint": 7})"), content.substr(0, 100), content + " ", other_value, other_version}) {
    write_bytes(cache_file(), text);
    EXPECT_EQ(open_cache(folder()).find(), std::nullopt) << text;
    save_settled(open_cache(folder()));
    EXPECT_EQ(read_bytes(cache_file()), content);
  }
}

TEST_F(FingerprintCacheTest, is_done_without_where_it_cannot_be_written) {
  fs::create_directory(cache_file());
  save_settled(open_cache(folder()));
  EXPECT_EQ(open_cache(folder()).find(), std::nullopt);
  const SmallDisk disk(65536);
  write_folder(disk.path() / "model");
  disk.make_read_only();
  save_settled(open_cache(disk.path() / "model"));
  EXPECT_EQ(open_cache(disk.path() / "model").find(), std::nullopt);
  EXPECT_THAT(listing_of(disk.path()), UnorderedElementsAre("model"));
}

}  // namespace
}  // namespace collimate
