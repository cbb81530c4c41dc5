// A checkpoint that many ranks write together, each its pieces.

#include "collimate/store/checkpoint.hpp"

#include <filesystem>
#include <optional>

#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "support/checkpoints.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class SharedCheckpointTest : public ::testing::Test {
 protected:
  SharedCheckpointTest() {
    if (world_->rank() == 0) folder_.emplace();
    root_ = world_->rank() == 0 ? folder_->path().string() : std::string();
    world_->broadcast_bytes(root_, 0);
  }
  ~SharedCheckpointTest() override { world_->barrier(); }

  [[nodiscard]] CheckpointStore store() const { return {root_ + "/checkpoints", 3}; }
  std::string save(std::int64_t step) const {
    return save_checkpoint(store(), sample_state(step), sample_pieces(step, 6, world_->rank(), world_->size()),
                           *world_);
  }

  std::unique_ptr<Communicator> world_ = make_world_group();
  std::optional<TemporaryFolder> folder_;
  std::string root_;
};

TEST_F(SharedCheckpointTest, every_rank_reads_what_all_have_written) {
  const Checkpoint checkpoint = Checkpoint::open(save(7));
  checkpoint.verify();
  EXPECT_EQ(checkpoint.state().step, 7);
  for (const SampleTensor& tensor : sample_tensors(7)) {
    EXPECT_TRUE(checkpoint.load(tensor.group, tensor.name).equal(tensor.value)) << tensor.name;
  }
  // As another number of ranks would have it.
  for (const SavedPiece& piece : sample_pieces(7, 6, 1, 3)) {
    EXPECT_TRUE(checkpoint.load_piece(piece.group, piece.name, piece.piece).equal(piece.value)) << piece.name;
  }
  std::size_t num_files = 0;
  for (const auto& entry : fs::directory_iterator(checkpoint.path())) {
    if (entry.path().extension() == ".safetensors") ++num_files;
  }
  EXPECT_EQ(num_files, static_cast<std::size_t>(std::min(world_->size(), 6)));
}

TEST_F(SharedCheckpointTest, damage_that_one_rank_finds_is_known_to_all) {
  const std::string first = save(1);
  const std::string second = save(2);
  world_->barrier();
  if (world_->rank() == 0) flip_byte(second + "/rank_00000.safetensors", 300);
  world_->barrier();
  const FoundCheckpoint found = store().find_latest_valid(*world_);
  ASSERT_TRUE(found.checkpoint);
  EXPECT_EQ(found.checkpoint->path(), first);
  EXPECT_THAT(found.skipped, testing::ElementsAre(HasSubstr("step_00000002/rank_00000.safetensors: bytes 0")));
}

TEST_F(SharedCheckpointTest, a_rank_that_cannot_write_fails_the_save_on_all) {
  save(1);
  std::vector<SavedPiece> pieces = sample_pieces(2, 6, world_->rank(), world_->size());
  // What is wrong only at the last rank: its file cannot be made.
  const CheckpointStore broken(
      world_->rank() + 1 == world_->size() && world_->size() > 1 ? "/nowhere/checkpoints" : root_ + "/checkpoints", 3);
  if (world_->rank() + 1 == world_->size()) pieces.front().value = pieces.front().value.narrow(0, 0, 0);
  EXPECT_THROW(save_checkpoint(broken, sample_state(2), pieces, *world_), AgreedError);
  world_->barrier();
  EXPECT_EQ(store().steps(), std::vector<std::int64_t>{1});
  if (world_->rank() == 0) {
    EXPECT_EQ(std::distance(fs::directory_iterator(root_ + "/checkpoints"), {}), 2);  // the step and `latest`
  }
}

}  // namespace
}  // namespace collimate
