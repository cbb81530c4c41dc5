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

  static std::size_t num_files(const Checkpoint& checkpoint) {
    std::size_t number = 0;
    for (const auto& entry : fs::directory_iterator(checkpoint.path())) {
      if (entry.path().extension() == ".safetensors") ++number;
    }
    return number;
  }
  static std::int64_t num_blocks(const Checkpoint& checkpoint) {
    std::int64_t number = 0;
    for (const auto& entry : fs::directory_iterator(checkpoint.path())) {
      if (entry.path().extension() != ".safetensors") continue;
      number += divide_up(static_cast<std::int64_t>(entry.file_size()), 1 << 20);
    }
    return number;
  }
  [[nodiscard]] std::int64_t total(std::int64_t own) const {
    at::Tensor sum = at::full({1}, own, at::kLong);
    world_->all_reduce(sum, ReduceOp::kSum);
    return sum.item<std::int64_t>();
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
    EXPECT_TRUE(load_tensor(checkpoint, tensor.group, tensor.name).equal(tensor.value)) << tensor.name;
  }
  // As another number of ranks would have it.
  for (const SavedPiece& piece : sample_pieces(7, 6, 1, 3)) {
    const LoadRequest request = request_for(piece);
    load_pieces(checkpoint, std::span(&request, 1), *world_);
    EXPECT_TRUE(request.into.equal(piece.value)) << piece.name;
  }
  EXPECT_EQ(num_files(checkpoint), static_cast<std::size_t>(std::min(world_->size(), 6)));
}

// Everyone wants all of it, which is over a megabyte in each of the files.
TEST_F(SharedCheckpointTest, each_block_is_read_once_by_the_whole_job) {
  constexpr std::int64_t kHidden = 100'000;
  const std::string path =
      save_checkpoint(store(), sample_state(3), sample_pieces(3, kHidden, world_->rank(), world_->size()), *world_);
  const Checkpoint checkpoint = Checkpoint::open(path);
  const std::vector<SavedPiece> whole = sample_pieces(3, kHidden);
  std::vector<LoadRequest> requests;
  for (const SavedPiece& piece : whole) requests.push_back(request_for(piece));
  const std::int64_t own = load_pieces(checkpoint, requests, *world_);
  for (std::size_t i = 0; i < whole.size(); ++i) EXPECT_TRUE(requests[i].into.equal(whole[i].value)) << whole[i].name;
  const std::int64_t all = num_blocks(checkpoint);
  EXPECT_GT(all, world_->size());
  EXPECT_EQ(total(own), all);
  EXPECT_LE(own, all / world_->size() + 1) << "they share the work";
}

// Overlapping parts for each, nothing for the last.
TEST_F(SharedCheckpointTest, who_needs_nothing_reads_nothing) {
  constexpr std::int64_t kHidden = 100'000;
  const std::string path =
      save_checkpoint(store(), sample_state(3), sample_pieces(3, kHidden, world_->rank(), world_->size()), *world_);
  const SampleTensor weights = sample_tensors(3, kHidden)[1];
  const std::vector<std::int64_t> shape = weights.value.sizes().vec();
  const std::int64_t share = 4 * kHidden / (world_->size() + 1);
  TensorPiece piece = whole_piece(shape);
  piece.flat = {.begin = share * world_->rank(), .length = 2 * share};
  const at::Tensor into = at::empty({2 * share}, at::kBFloat16);
  const bool wants = world_->rank() + 1 < world_->size();
  const LoadRequest request{weights.group, weights.name, shape, piece, into};
  const std::int64_t own = load_pieces(Checkpoint::open(path), std::span(&request, wants ? 1 : 0), *world_);
  EXPECT_LE(total(own), num_blocks(Checkpoint::open(path)));
  if (wants) {
    const at::Tensor expected = weights.value.reshape({-1}).narrow(0, piece.flat.begin, piece.flat.length);
    EXPECT_TRUE(into.equal(expected.to(at::kBFloat16)));
  } else {
    EXPECT_EQ(own, 0);
  }
}

TEST_F(SharedCheckpointTest, damage_that_one_rank_finds_is_known_to_all) {
  const std::string first = save(1);
  const std::string second = save(2);
  world_->barrier();
  if (world_->rank() == 0) flip_byte(second + "/rank_00000.safetensors", 300);
  world_->barrier();
  std::vector<LoadRequest> requests;
  for (const SavedPiece& piece : sample_pieces(1, 6, world_->rank(), world_->size()))
    requests.push_back(request_for(piece));
  const FoundCheckpoint found =
      store().load_newest(*world_, [&](const Checkpoint& opened) { load_pieces(opened, requests, *world_); });
  ASSERT_TRUE(found.checkpoint);
  EXPECT_EQ(found.checkpoint->path(), first);
  EXPECT_THAT(found.skipped, testing::ElementsAre(HasSubstr("step_00000002/rank_00000.safetensors: bytes 0")));
  for (const LoadRequest& request : requests) {
    if (request.group == "model" && request.name == "a.weight") {
      EXPECT_EQ(request.into[0].item<float>(),
                static_cast<float>(1 + shard_range(6, world_->size(), world_->rank()).begin));
    }
  }
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
