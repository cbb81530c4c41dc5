#include "collimate/store/weights_fingerprint.hpp"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/initialize.hpp"
#include "collimate/store/model_folder.hpp"
#include "support/model_folder.hpp"
#include "support/thread_world.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr const char* kPlanted = "0123456789abcdef0123456789abcdef";

using OpenSource = std::function<std::unique_ptr<ModelSource>(int rank)>;

/// What each rank of a job gets for the source that it opens.
std::vector<std::string> fingerprints_of_ranks(int num_ranks, const OpenSource& open) {
  std::vector<std::string> fingerprints(static_cast<std::size_t>(num_ranks));
  run_as_threads(num_ranks, [&](GroupFactory& factory) {
    const int rank = factory.world_rank();
    const auto world = factory.make_world_group();
    fingerprints[static_cast<std::size_t>(rank)] = weights_fingerprint(*open(rank), *world);
  });
  return fingerprints;
}

/// Weights that cannot be read.
class BrokenWeights final : public ModelSource {
 public:
  explicit BrokenWeights(const std::string& config_path) : ModelSource(config_path), good_(config_path, 1) {}

  const std::vector<TensorInfo>& tensors() const override { return good_.tensors(); }
  at::Tensor load(const std::string& name, at::ScalarType dtype) const override { return good_.load(name, dtype); }
  at::Tensor borrow(const std::string& name) const override { return good_.borrow(name); }
  std::vector<Hash128> tensor_hashes(std::span<const std::size_t> /*chosen*/) const override {
    throw Error("the disk is gone");
  }
  std::vector<std::string> companions() const override { return {}; }

 private:
  RandomWeights good_;
};

class WeightsFingerprintTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "model") const { return folder_.path() / name; }
  std::string config_path() const { return path() + "/config.json"; }
  void write(const std::string& name = "model") const {
    write_sharded_folder(path(name), tiny_config(), tiny_tensors(tiny_config()), 5);
  }
  std::unique_ptr<ModelSource> open(const std::string& name = "model") const {
    return std::make_unique<ModelFolder>(ModelFolder::open(path(name)));
  }
  void plant(const std::string& name = "model") const {
    open(name)->fingerprint_cache()->save(kPlanted, std::chrono::system_clock::now() + std::chrono::seconds(10));
  }

  TemporaryFolder folder_;
};

TEST_F(WeightsFingerprintTest, is_the_same_for_any_number_of_ranks_and_threads) {
  write();
  const std::string expected = open()->weights_fingerprint().hex();
  const int num_threads = at::get_num_threads();
  for (const int num_ranks : {1, 2, 3, 40}) {  // the model has 21 tensors
    at::set_num_threads(num_ranks == 2 ? 3 : 1);
    EXPECT_THAT(fingerprints_of_ranks(num_ranks, [&](int) { return open(); }), Each(expected)) << num_ranks;
    EXPECT_FALSE(fs::exists(path() + ".fingerprint.json")) << "files of this moment are not cached";
  }
  at::set_num_threads(4);
  EXPECT_EQ(open()->weights_fingerprint().hex(), expected);
  at::set_num_threads(num_threads);
}

TEST_F(WeightsFingerprintTest, of_random_weights_is_the_same_for_any_number_of_ranks) {
  write();
  const auto make = [&](int) { return std::make_unique<RandomWeights>(config_path(), 3); };
  const std::string expected = make(0)->weights_fingerprint().hex();
  EXPECT_EQ(weights_fingerprint(*make(0)), expected);
  for (const int num_ranks : {1, 2, 3}) EXPECT_THAT(fingerprints_of_ranks(num_ranks, make), Each(expected));
}

TEST_F(WeightsFingerprintTest, comes_from_the_cache_of_the_files_that_all_ranks_have_opened) {
  write();
  const std::string expected = open()->weights_fingerprint().hex();
  plant();
  EXPECT_EQ(weights_fingerprint(*open()), kPlanted);
  EXPECT_EQ(open()->weights_fingerprint().hex(), expected);
  for (const int num_ranks : {1, 2, 3}) {
    EXPECT_THAT(fingerprints_of_ranks(num_ranks, [&](int) { return open(); }), Each(kPlanted));
  }
  write("copy");
  EXPECT_THAT(fingerprints_of_ranks(2, [&](int rank) { return open(rank == 1 ? "copy" : "model"); }), Each(expected));
  EXPECT_EQ(weights_fingerprint(*open()), kPlanted) << "what ranks of different files hash does not get into the cache";
}

TEST_F(WeightsFingerprintTest, is_that_of_the_bytes_after_any_change) {
  write();
  plant();
  const std::string shard = path() + "/model-0.safetensors";
  wait_for_clock_tick(shard);
  flip_byte(shard, fs::file_size(shard) - 1);
  const std::string changed = open()->weights_fingerprint().hex();
  EXPECT_EQ(weights_fingerprint(*open()), changed);
  EXPECT_THAT(fingerprints_of_ranks(2, [&](int) { return open(); }), Each(changed));
}

TEST_F(WeightsFingerprintTest, follows_the_config_where_it_decides_which_tensors_of_the_same_files_count) {
  auto tied = tiny_config();
  tied["tie_word_embeddings"] = true;
  const auto tensors = with_copy(tiny_tensors(tied), kEmbeddingName, kHeadName);
  write_sharded_folder(path(), tiny_config(), tensors, 5);
  plant();
  const std::string untied = open()->weights_fingerprint().hex();
  write_bytes(config_path(), tied.dump());
  EXPECT_EQ(weights_fingerprint(*open()), open()->weights_fingerprint().hex());
  EXPECT_NE(weights_fingerprint(*open()), untied);
}

TEST_F(WeightsFingerprintTest, a_cached_one_of_a_tied_model_is_of_the_head_that_it_was_compared_with) {
  auto tied = tiny_config();
  tied["tie_word_embeddings"] = true;
  write_sharded_folder(path(), tied, with_copy(tiny_tensors(tied), kEmbeddingName, kHeadName), 5);
  plant();
  EXPECT_TRUE(open()->spec().tie_word_embeddings);
  EXPECT_EQ(weights_fingerprint(*open()), kPlanted);
  const std::string shard = path() + "/model-4.safetensors";  // its last tensor is the head
  wait_for_clock_tick(shard);
  flip_byte(shard, fs::file_size(shard) - 1);
  EXPECT_FALSE(open()->spec().tie_word_embeddings);
  EXPECT_EQ(weights_fingerprint(*open()), open()->weights_fingerprint().hex());
}

TEST_F(WeightsFingerprintTest, a_failure_on_one_rank_reaches_all) {
  write();
  const auto broken = [&](int rank) -> std::unique_ptr<ModelSource> {
    if (rank == 1) return std::make_unique<BrokenWeights>(config_path());
    return std::make_unique<RandomWeights>(config_path(), 1);
  };
  run_as_threads(3, [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    const auto source = broken(factory.world_rank());
    EXPECT_THAT([&] { (void)weights_fingerprint(*source, *world); },
                throws<AgreedError>(AllOf(HasSubstr("rank 1"), HasSubstr("the disk is gone"))));
  });
}

TEST_F(WeightsFingerprintTest, ranks_with_tensors_of_different_shapes_or_dtypes_are_refused) {
  write();
  auto config = tiny_config();
  config["vocab_size"] = 16;
  write_model_folder(path("other"), config, tiny_tensors(config));
  run_as_threads(2, [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    const auto source = open(factory.world_rank() == 1 ? "other" : "model");
    EXPECT_THAT([&] { (void)weights_fingerprint(*source, *world); },
                throws<AgreedError>(AllOf(HasSubstr(config_path()), HasSubstr("on one host than on another"))));
  });
}

}  // namespace
}  // namespace collimate
