#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "support/checkpoints.hpp"
#include "support/small_disk.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class CheckpointStoreTest : public ::testing::Test {
 protected:
  void SetUp() override { fs::create_directory(temporary_.path() / "run"); }
  std::string save(std::int64_t step, int limit = 3) const {
    return save_checkpoint(CheckpointStore(folder_, limit), sample_state(step), sample_pieces(step), *solo_group());
  }
  CheckpointStore store() const { return {folder_, 3}; }
  std::optional<std::int64_t> latest_valid_step() const {
    const FoundCheckpoint found = find_newest_whole(store(), *solo_group());
    return found.checkpoint ? std::optional(found.checkpoint->state().step) : std::nullopt;
  }

  TemporaryFolder temporary_;
  std::string folder_ = temporary_.path() / "run" / "checkpoints";
};

TEST_F(CheckpointStoreTest, has_nothing_before_the_first_save) {
  EXPECT_THAT(store().steps(), IsEmpty());
  EXPECT_EQ(store().find_pointer("latest"), std::nullopt);
  EXPECT_EQ(latest_valid_step(), std::nullopt);
}

TEST_F(CheckpointStoreTest, saves_under_the_step_and_points_to_it) {
  EXPECT_EQ(save(200), folder_ + "/step_00000200");
  EXPECT_EQ(store().find_pointer("latest"), folder_ + "/step_00000200");
  EXPECT_EQ(fs::read_symlink(folder_ + "/latest"), "step_00000200");
  EXPECT_EQ(latest_valid_step(), 200);
}

TEST_F(CheckpointStoreTest, a_run_whose_folder_has_gone_gets_no_new_one) {
  save(1);
  fs::remove_all(temporary_.path() / "run");
  EXPECT_THAT([&] { save(2); }, throws<AgreedError>(HasSubstr("run: the run's folder has gone")));
  EXPECT_FALSE(fs::exists(temporary_.path() / "run"));
}

TEST_F(CheckpointStoreTest, keeps_the_newest_and_what_is_pointed_to) {
  save(1);
  store().mark_best(1);
  for (const std::int64_t step : {2, 3, 4, 5}) save(step, 2);
  EXPECT_THAT(store().steps(), ElementsAre(1, 4, 5));
  store().mark_best(5);
  save(6, 2);
  EXPECT_THAT(store().steps(), ElementsAre(5, 6));
  EXPECT_EQ(store().find_pointer("best"), folder_ + "/step_00000005");
}

TEST_F(CheckpointStoreTest, keeps_those_of_every_so_many_steps) {
  const CheckpointStore sparse(folder_, 1, 3);
  for (const std::int64_t step : {1, 2, 3, 4, 5, 6, 7, 8})
    save_checkpoint(sparse, sample_state(step), sample_pieces(step), *solo_group());
  EXPECT_THAT(store().steps(), ElementsAre(3, 6, 8));
}

TEST_F(CheckpointStoreTest, damaged_ones_do_not_count_as_kept) {
  save(1);
  save(2);
  save(3);
  flip_byte(store().path_of(2) + "/manifest.json", 100);
  fs::resize_file(store().path_of(3) + "/rank_00000.safetensors", 10);
  save(4, 2);
  EXPECT_THAT(store().steps(), ElementsAre(1, 2, 3, 4));
  save(5, 1);
  EXPECT_THAT(store().steps(), ElementsAre(5));
}

TEST_F(CheckpointStoreTest, what_has_no_manifest_is_neither_deleted_nor_replaced) {
  save(1);
  save(2);
  fs::remove(store().path_of(1) + "/manifest.json");
  fs::create_directory(store().path_of(3));
  write_bytes(store().path_of(3) + "/thesis.txt", "do not lose me");
  write_bytes(folder_ + "/step_00000004", "a file");
  for (const std::int64_t step : {3, 4, 5}) save(step, 1);
  EXPECT_THAT(store().steps(), ElementsAre(1, 5));
  EXPECT_TRUE(fs::exists(store().path_of(1) + "/rank_00000.safetensors"));
  EXPECT_EQ(read_bytes(store().path_of(3) + ".aside-1/thesis.txt"), "do not lose me");
  EXPECT_EQ(read_bytes(folder_ + "/step_00000004.aside-1"), "a file");
  fs::create_directory(store().path_of(3));
  save(3, 1);
  EXPECT_TRUE(fs::exists(store().path_of(3) + ".aside-2"));
}

TEST_F(CheckpointStoreTest, leaves_nothing_of_what_it_deletes) {
  fs::create_directories(folder_ + "/.step_00000001.staged-deleted/killed_before");
  for (const std::int64_t step : {1, 2}) save(step, 1);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);  // the step and `latest`
}

TEST_F(CheckpointStoreTest, removes_what_killed_writers_have_staged_and_nothing_else) {
  save(1);
  for (const char* staged : {"/.step_00000002.staged-1-0/piece", "/.step_00000001.staged-deleted/piece"}) {
    fs::create_directories(folder_ + staged);
  }
  // The only one of its step, perhaps, and what is not ours.
  for (const char* kept : {"/.step_00000003.replaced-1-0", "/.thesis.staged-1-0", "/step_00000004.staged-1"}) {
    fs::create_directories(folder_ + kept);
  }
  store().remove_staged();
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2 + 3);
  CheckpointStore(folder_ + "/absent", 1).remove_staged();
}

TEST_F(CheckpointStoreTest, passes_over_damaged_ones_with_reasons) {
  save(1);
  save(2);
  save(3);
  flip_byte(store().path_of(3) + "/rank_00000.safetensors", 100);
  fs::remove(store().path_of(2) + "/manifest.json");
  const FoundCheckpoint found = find_newest_whole(store(), *solo_group());
  ASSERT_TRUE(found.checkpoint);
  EXPECT_EQ(found.checkpoint->state().step, 1);
  EXPECT_THAT(found.skipped, ElementsAre(HasSubstr("step_00000003/rank_00000.safetensors: bytes 0"),
                                         HasSubstr("step_00000002/manifest.json")));
}

TEST_F(CheckpointStoreTest, other_failures_than_of_the_checkpoint_are_no_reason_to_pass_it_over) {
  save(1);
  save(2);
  int num_calls = 0;
  const auto fail = [&](const Checkpoint& /*opened*/) {
    ++num_calls;
    throw AgreedError("no memory", ExitCode::kFailure);
  };
  EXPECT_THAT([&] { (void)store().load_newest(*solo_group(), fail); }, throws<AgreedError>(HasSubstr("no memory")));
  EXPECT_EQ(num_calls, 1);
}

TEST_F(CheckpointStoreTest, finds_none_and_deletes_nothing_when_all_are_damaged) {
  save(1);
  flip_byte(store().path_of(1) + "/rank_00000.safetensors", 100);
  const FoundCheckpoint found = find_newest_whole(store(), *solo_group());
  EXPECT_FALSE(found.checkpoint);
  EXPECT_THAT(found.skipped, SizeIs(1));
  EXPECT_THAT(store().steps(), ElementsAre(1));
}

TEST_F(CheckpointStoreTest, ignores_what_a_killed_writer_left_and_foreign_names) {
  save(1);
  fs::copy(store().path_of(1), folder_ + "/.step_00000002.staged-1-0");
  fs::create_directory(folder_ + "/step_3");
  write_bytes(folder_ + "/step_00000004", "a file");
  EXPECT_THAT(store().steps(), ElementsAre(1));
  save(5, 1);
  EXPECT_TRUE(fs::exists(folder_ + "/.step_00000002.staged-1-0"));  // may be another writer's
}

TEST_F(CheckpointStoreTest, replaces_a_checkpoint_of_the_same_step) {
  save(1);
  save_checkpoint(store(), sample_state(1), sample_pieces(9), *solo_group());
  const Checkpoint checkpoint = *find_newest_whole(store(), *solo_group()).checkpoint;
  EXPECT_TRUE(load_tensor(checkpoint, "model", "a.weight").equal(sample_tensors(9)[1].value));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);  // the step and `latest`
}

TEST_F(CheckpointStoreTest, works_after_the_run_folder_was_moved) {
  save(1);
  fs::rename(temporary_.path() / "run", temporary_.path() / "moved");
  const CheckpointStore moved(temporary_.path() / "moved" / "checkpoints", 3);
  EXPECT_TRUE(moved.find_pointer("latest"));
  EXPECT_EQ(find_newest_whole(moved, *solo_group()).checkpoint->state().step, 1);
}

TEST_F(CheckpointStoreTest, a_failed_save_leaves_everything_as_it_was) {
  SmallDisk disk(131072);
  folder_ = disk.path() / "checkpoints";
  save(1);
  EXPECT_THAT([&] { save_checkpoint(store(), sample_state(2), sample_pieces(2, 10'000), *solo_group()); },
              throws<AgreedError>(HasSubstr("No space left on device")));
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
  disk.make_read_only();
  EXPECT_THAT([&] { save(3); }, throws<AgreedError>(HasSubstr("Read-only file system")));
  EXPECT_EQ(latest_valid_step(), 1);
}

TEST_F(CheckpointStoreTest, best_must_have_been_saved) {
  EXPECT_THAT([&] { store().mark_best(1); }, throws<Error>(HasSubstr("step_00000001")));
}

}  // namespace
}  // namespace collimate
