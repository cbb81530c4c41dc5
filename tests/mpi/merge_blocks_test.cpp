// The reference store, put together by any number of ranks from finished blocks and what was there before.

#include "collimate/store/merge_blocks.hpp"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/mpi_world.hpp"
#include "support/small_disk.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::HasSubstr;

ReferenceRow row_of(std::uint32_t n, bool per_token) {
  ReferenceRow row{.pair_id = hash_text("pair " + std::to_string(n)),
                   .chosen_logps = -1.0 - n,
                   .rejected_logps = -2.0 / (n + 1),
                   .num_chosen_tokens = n % 5 + 1,
                   .num_rejected_tokens = n % 3 + 1};
  if (!per_token) return row;
  for (std::uint32_t i = 0; i < row.num_chosen_tokens + row.num_rejected_tokens; ++i) {
    row.token_logps.push_back(-static_cast<float>(n * 10 + i));
  }
  return row;
}

class MergeBlocksTest : public ::testing::TestWithParam<bool> {
 protected:
  MergeBlocksTest() {
    if (world_->rank() == 0) folder_.emplace();
    std::string root = world_->rank() == 0 ? folder_->path().string() : std::string();
    world_->broadcast_bytes(root, 0);
    path_ = root + "/reference.h5";
    form_.per_token = GetParam();
  }
  ~MergeBlocksTest() override { world_->barrier(); }

  [[nodiscard]] std::vector<ReferenceRow> rows(std::uint32_t begin, std::uint32_t end) const {
    std::vector<ReferenceRow> rows;
    for (std::uint32_t n = begin; n < end; ++n) rows.push_back(row_of(n, form_.per_token));
    std::ranges::sort(rows, {}, &ReferenceRow::pair_id);
    return rows;
  }

  // Saves them in blocks of three, and says which ids each has.
  [[nodiscard]] std::vector<std::vector<Hash128>> save(BlockParts& parts, std::vector<ReferenceRow> all) const {
    std::vector<std::vector<Hash128>> ids;
    if (world_->rank() == 0) parts.prepare();
    for (std::size_t begin = 0; begin < all.size(); begin += 3) {
      const std::size_t end = std::min(all.size(), begin + 3);
      auto& block = ids.emplace_back();
      for (std::size_t i = begin; i < end; ++i) block.push_back(all[i].pair_id);
      if (world_->rank() == 0) parts.save({all.begin() + static_cast<int>(begin), all.begin() + static_cast<int>(end)});
    }
    world_->barrier();
    return ids;
  }

  void merge(std::vector<ReferenceRow> scored, const std::optional<ReferenceStore>& existing) const {
    BlockParts parts(path_, identity_, form_);
    const std::vector<std::vector<Hash128>> blocks = save(parts, std::move(scored));
    merge_blocks(
        {.path = path_, .identity = identity_, .form = form_, .parts = parts, .blocks = blocks, .existing = existing},
        *world_);
    world_->barrier();
  }

  std::unique_ptr<Communicator> world_ = make_world_group();
  std::optional<TemporaryFolder> folder_;
  std::string path_;
  ReferenceIdentity identity_{.weights_fingerprint = "weights"};
  ReferenceForm form_{.microbatch_tokens = 64, .block_pairs = 3};
};

TEST_P(MergeBlocksTest, blocks_become_a_store) {
  merge(rows(0, 20), std::nullopt);
  const ReferenceStore store = ReferenceStore::open(path_, TokenValues::kRead);
  EXPECT_EQ(store.identity(), identity_);
  EXPECT_EQ(store.form(), form_);
  EXPECT_EQ(store.rows(), rows(0, 20));
}

TEST_P(MergeBlocksTest, rows_that_were_there_before_stay) {
  merge(rows(0, 11), std::nullopt);
  merge(rows(11, 31), ReferenceStore::open(path_));
  EXPECT_EQ(ReferenceStore::open(path_, TokenValues::kRead).rows(), rows(0, 31));
}

TEST_P(MergeBlocksTest, fewer_rows_than_ranks_are_enough) {
  merge(rows(4, 5), std::nullopt);
  EXPECT_EQ(ReferenceStore::open(path_, TokenValues::kRead).rows(), rows(4, 5));
}

TEST_P(MergeBlocksTest, a_block_that_is_gone_is_an_error_on_all_ranks) {
  BlockParts parts(path_, identity_, form_);
  const std::vector<std::vector<Hash128>> blocks{{hash_text("pair 1")}};
  const std::optional<ReferenceStore> existing;
  EXPECT_THROW(
      merge_blocks(
          {.path = path_, .identity = identity_, .form = form_, .parts = parts, .blocks = blocks, .existing = existing},
          *world_),
      AgreedError);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_P(MergeBlocksTest, a_full_disk_is_an_error_on_all_ranks_and_leaves_the_old_store) {
  // Blocks on one disk, which all see; the store on another, which only the rank that lays it out needs to.
  BlockParts parts(path_, identity_, form_);
  const std::vector<ReferenceRow> added = rows(100, 220);
  const std::vector<std::vector<Hash128>> blocks = save(parts, added);
  std::optional<SmallDisk> disk;
  std::string small_path = path_;
  std::optional<ReferenceStore> existing;
  if (world_->rank() == 0) {
    disk.emplace(16 << 10);
    small_path = disk->path() / "reference.h5";
    ReferenceStore(identity_, rows(0, 1), form_).write(small_path);
  }
  existing.emplace(identity_, std::vector<ReferenceRow>{}, form_);
  EXPECT_THAT(
      [&] {
        merge_blocks({.path = small_path,
                      .identity = identity_,
                      .form = form_,
                      .parts = parts,
                      .blocks = blocks,
                      .existing = existing},
                     *world_);
      },
      throws<AgreedError>(HasSubstr("No space left on device")));
  if (world_->rank() == 0) {
    EXPECT_EQ(ReferenceStore::open(small_path, TokenValues::kRead).rows(), rows(0, 1));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(disk->path()), {}), 1);
  }
  world_->barrier();
}

INSTANTIATE_TEST_SUITE_P(PerToken, MergeBlocksTest, ::testing::Bool());

}  // namespace
}  // namespace collimate
