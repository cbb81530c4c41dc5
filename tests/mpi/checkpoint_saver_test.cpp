// Saving behind training with many ranks: a checkpoint is committed when the slowest rank has written, and what fails
// on one rank is known to all.

#include "collimate/store/checkpoint_saver.hpp"

#include <optional>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/full.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/checkpoints.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class SharedSaverTest : public ::testing::Test {
 protected:
  SharedSaverTest() {
    if (world_->rank() == 0) folder_.emplace();
    root_ = folder_ ? folder_->path().string() : std::string();
    world_->broadcast_bytes(root_, 0);
  }
  ~SharedSaverTest() override { world_->barrier(); }

  [[nodiscard]] CheckpointStore store() const { return {root_ + "/checkpoints", 3}; }
  [[nodiscard]] bool is_last() const { return world_->rank() + 1 == world_->size(); }
  /// A tensor of this rank's alone, whose values are the rank.
  [[nodiscard]] std::vector<SavedPiece> own_piece(std::int64_t num_elements) const {
    const std::vector<std::int64_t> shape{num_elements};
    return {{"model", std::to_string(world_->rank()), shape, whole_piece(shape),
             at::full(shape, world_->rank(), at::kFloat)}};
  }
  /// What training does with it: how many ranks are busy, and the first failure.
  struct JobProgress {
    int num_busy = 0;
    std::string failure;
  };
  [[nodiscard]] JobProgress reduced(CheckpointSaver& saver) const {
    const SaveProgress own = saver.progress();
    JobProgress all;
    for (const std::string& text : world_->all_gather_bytes((own.is_busy ? "1" : "0") + own.failure)) {
      if (text.front() == '1') ++all.num_busy;
      if (all.failure.empty()) all.failure = text.substr(1);
    }
    return all;
  }

  std::unique_ptr<Communicator> world_ = make_world_group();
  std::optional<TemporaryFolder> folder_;
  std::string root_;
};

TEST_F(SharedSaverTest, waits_for_the_slowest_rank) {
  CheckpointSaver saver(store(), {.buffer_bytes = 1U << 30U}, *world_);
  // A hundred megabytes for the last rank, nothing to speak of for the others.
  const std::vector<SavedPiece> own = own_piece(is_last() ? 25'000'000 : 10);
  saver.start(sample_state(1), own);
  saver.release_values();
  own.front().value.fill_(-1);
  bool was_early = false;
  for (JobProgress all = reduced(saver); all.num_busy > 0; all = reduced(saver)) {
    was_early = was_early || !store().steps().empty();
  }
  EXPECT_FALSE(was_early);
  saver.finish();
  const Checkpoint checkpoint = Checkpoint::open(store().path_of(1));
  for (int rank = 0; rank < world_->size(); ++rank) {
    EXPECT_TRUE(load_tensor(checkpoint, "model", std::to_string(rank)).eq(rank).all().item<bool>()) << rank;
  }
}

TEST_F(SharedSaverTest, a_rank_without_pieces_takes_part) {
  CheckpointSaver saver(store(), {}, *world_);
  saver.start(sample_state(1), is_last() ? own_piece(10) : std::vector<SavedPiece>{});
  saver.finish();
  EXPECT_EQ(Checkpoint::open(store().path_of(1)).tensors("model").size(), 1U);
}

TEST_F(SharedSaverTest, a_write_that_fails_behind_on_one_rank_fails_the_save_on_all) {
  save_checkpoint(store(), sample_state(1), own_piece(10), *world_);
  CheckpointSaver saver(store(), {.buffer_bytes = 1U << 30U}, *world_);
  std::vector<SavedPiece> own = own_piece(10);
  if (is_last()) own.push_back(own.front());  // a name twice: the header cannot be written
  saver.start(sample_state(2), own);
  JobProgress all = reduced(saver);
  while (all.failure.empty()) all = reduced(saver);
  EXPECT_THAT(all.failure, StartsWith("checkpoint of step 2: "));
  EXPECT_THAT([&] { saver.finish(); }, throws<AgreedError>(HasSubstr("checkpoint of step 2: ")));
  world_->barrier();
  EXPECT_THAT(store().steps(), ElementsAre(1));
  EXPECT_EQ(std::distance(fs::directory_iterator(root_ + "/checkpoints"), {}), 2);  // the step and `latest`
}

}  // namespace
}  // namespace collimate
