// Saving behind training: what is saved is what was there when it began, whatever happens to it afterwards.

#include "collimate/store/checkpoint_saver.hpp"

#include <chrono>
#include <thread>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "../../../src/store/piece_writer.hpp"
#include "collimate/base/error.hpp"
#include "support/checkpoints.hpp"
#include "support/small_disk.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::int64_t kPortion = std::int64_t{1} << 20;  // elements of float32 that are written at a time

SavedPiece piece_of(const std::string& name, const at::Tensor& value) {
  return {"model", name, value.sizes().vec(), whole_piece(value.sizes()), value};
}

at::Tensor numbers(std::int64_t num_portions) { return at::arange(num_portions * kPortion, at::kFloat); }

class PieceWriterTest : public ::testing::Test {
 protected:
  [[nodiscard]] at::Tensor written(const detail::ManifestShare& share, const std::string& name) const {
    detail::write_manifest(folder_.path(), sample_state(1), std::vector{detail::render_share(share)});
    return load_tensor(Checkpoint::open(folder_.path()), "model", name);
  }

  TemporaryFolder folder_;
};

TEST_F(PieceWriterTest, what_is_copied_may_change_before_it_is_written) {
  const at::Tensor value = numbers(3);
  const at::Tensor before = value.clone();
  detail::PieceWriter writer(0, std::vector{piece_of("a", value)});
  const detail::ReleaseCost cost = writer.release(value.nbytes());
  EXPECT_EQ(cost.copied_bytes, value.nbytes());
  EXPECT_EQ(cost.awaited_bytes, 0U);
  value.zero_();
  EXPECT_EQ(writer.release(0).awaited_bytes, 0U);
  EXPECT_TRUE(written(writer.write(folder_.path()), "a").equal(before));
}

TEST_F(PieceWriterTest, what_the_buffer_does_not_hold_is_waited_for) {
  const at::Tensor value = numbers(4);
  const at::Tensor before = value.clone();
  detail::PieceWriter writer(0, std::vector{piece_of("a", value)});
  detail::ManifestShare share;
  std::jthread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    share = writer.write(folder_.path());
  });
  const detail::ReleaseCost cost = writer.release(2 * kPortion * sizeof(float) + 1);
  value.zero_();
  EXPECT_EQ(cost.copied_bytes, 2 * kPortion * sizeof(float));
  EXPECT_EQ(cost.awaited_bytes, 2 * kPortion * sizeof(float));
  late.join();
  EXPECT_TRUE(written(share, "a").equal(before));
}

TEST_F(PieceWriterTest, nothing_is_waited_for_after_a_failure) {
  detail::PieceWriter writer(0, std::vector{piece_of("a", numbers(2))});
  EXPECT_THAT([&] { writer.write(folder_.path() / "absent"); },
              throws<InputError>(HasSubstr("absent/rank_00000.safetensors: cannot be created")));
  EXPECT_EQ(writer.release(0).copied_bytes, 0U);
}

TEST_F(PieceWriterTest, gives_up_when_the_job_is_ending) {
  detail::PieceWriter writer(0, std::vector{piece_of("a", numbers(2))});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_THAT([&] { writer.write(folder_.path(), stop.get_token()); }, throws<Error>(HasSubstr("is given up")));
}

class CheckpointSaverTest : public ::testing::Test {
 protected:
  [[nodiscard]] CheckpointStore store() const { return {folder_, 3}; }
  [[nodiscard]] at::Tensor saved(std::int64_t step, const std::string& name) const {
    return load_tensor(Checkpoint::open(store().path_of(step)), "model", name);
  }
  /// As training steps do, until nothing is under way.
  void take_steps(CheckpointSaver& saver) {
    while (reports_.empty()) {
      const SaveProgress progress = saver.progress();
      ASSERT_EQ(progress.failure, "");
      if (!progress.is_busy) saver.advance();
    }
  }
  [[nodiscard]] SaveOptions options(std::uint64_t buffer_bytes) {
    return {.buffer_bytes = buffer_bytes,
            .on_commit = [this](const SaveReport& report) { reports_.push_back(report); }};
  }

  TemporaryFolder temporary_;
  std::string folder_ = temporary_.path() / "checkpoints";
  std::unique_ptr<Communicator> world_ = solo_group();
  std::vector<SaveReport> reports_;
};

TEST_F(CheckpointSaverTest, saves_what_was_there_whatever_the_buffer) {
  for (const std::uint64_t buffer_bytes : {0U, 8U << 20U, 1U << 30U}) {
    reports_.clear();
    const at::Tensor value = numbers(16);
    const at::Tensor before = value.clone();
    CheckpointSaver saver(store(), options(buffer_bytes), *world_);
    saver.start(sample_state(1), std::vector{piece_of("a", value)});
    saver.release_values();
    value.zero_();
    take_steps(saver);
    EXPECT_TRUE(saved(1, "a").equal(before)) << buffer_bytes;
    EXPECT_LE(reports_.front().copied_bytes, buffer_bytes);
    EXPECT_LE(reports_.front().copied_bytes + reports_.front().awaited_bytes, value.nbytes());
  }
}

TEST_F(CheckpointSaverTest, a_save_waits_for_the_one_before) {
  CheckpointSaver saver(store(), options(1U << 30U), *world_);
  saver.start(sample_state(1), std::vector{piece_of("a", numbers(4))});
  saver.start(sample_state(2), std::vector{piece_of("a", numbers(4))}, BestMark::kMove);
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_EQ(store().find_pointer("best"), std::nullopt);
  saver.finish();
  EXPECT_THAT(store().steps(), ElementsAre(1, 2));
  EXPECT_EQ(store().find_pointer("latest"), store().path_of(2));
  EXPECT_EQ(store().find_pointer("best"), store().path_of(2));
  EXPECT_EQ(reports_.size(), 2U);
}

TEST_F(CheckpointSaverTest, a_synchronous_save_is_committed_when_it_returns) {
  CheckpointSaver saver(store(), {.asynchronous = false}, *world_);
  saver.start(sample_state(1), std::vector{piece_of("a", numbers(1))});
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_FALSE(saver.progress().is_busy);
  saver.advance();  // nothing to do
}

TEST_F(CheckpointSaverTest, what_is_given_up_leaves_nothing) {
  save_checkpoint(store(), sample_state(1), sample_pieces(1), *world_);
  {
    CheckpointSaver saver(store(), options(0), *world_);
    saver.start(sample_state(2), std::vector{piece_of("a", numbers(8))});
  }
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);  // the step and `latest`
}

TEST_F(CheckpointSaverTest, a_write_that_fails_behind_is_reported_and_leaves_everything_as_it_was) {
  SmallDisk disk(4U << 20U);
  folder_ = disk.path() / "checkpoints";
  save_checkpoint(store(), sample_state(1), sample_pieces(1), *world_);
  CheckpointSaver saver(store(), options(1U << 30U), *world_);
  saver.start(sample_state(2), std::vector{piece_of("a", numbers(4))});
  saver.release_values();
  SaveProgress progress;
  while (progress.failure.empty()) progress = saver.progress();
  EXPECT_FALSE(progress.is_busy);
  EXPECT_THAT(progress.failure, HasSubstr("checkpoint of step 2: "));
  EXPECT_THAT(progress.failure, HasSubstr("rank_00000.safetensors: cannot be written: No space left on device"));
  EXPECT_THAT([&] { saver.finish(); }, throws<AgreedError>(HasSubstr("No space left on device")));
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2);
  saver.start(sample_state(3), sample_pieces(3));
  saver.finish();
  EXPECT_THAT(store().steps(), ElementsAre(1, 3));
}

TEST_F(CheckpointSaverTest, a_commit_that_fails_behind_is_reported) {
  CheckpointSaver saver(store(), options(1U << 30U), *world_);
  fs::create_directories(folder_ + "/latest");  // no pointer can take its place
  saver.start(sample_state(1), std::vector{piece_of("a", numbers(1))});
  EXPECT_THAT([&] { saver.finish(); }, throws<AgreedError>(HasSubstr("checkpoint of step 1: ")));
  EXPECT_THAT(reports_, IsEmpty());
}

}  // namespace
}  // namespace collimate
