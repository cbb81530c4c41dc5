// A checkpoint of any layout is read at any other: the same logical tensors, every element saved once.

#include <filesystem>
#include <random>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collimate/model/rank_tensors.hpp"
#include "collimate/optim/owned_run.hpp"
#include "collimate/plan/pipeline_layout.hpp"
#include "collimate/store/checkpoint.hpp"
#include "collimate/store/load_pieces.hpp"
#include "support/checkpoints.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_world.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

struct SavedLayout {
  ParallelConfig parallel;
  std::optional<std::int64_t> bucket_elements = {};

  [[nodiscard]] MeshShape shape() const { return mesh_shape(parallel, num_ranks()); }
  [[nodiscard]] int num_ranks() const { return parallel.data.value_or(1) * parallel.pipeline * parallel.tensor; }
  [[nodiscard]] std::string name() const {
    return fmt::format("data {}, pipeline {} x {}, tensor {}, zero {}", parallel.data.value_or(1), parallel.pipeline,
                       parallel.virtual_stages, parallel.tensor, parallel.zero_stage);
  }
};

SavedLayout layout_of(int data, int pipeline, int tensor, int zero_stage, int virtual_stages = 1) {
  SavedLayout layout;
  layout.parallel.data = data;
  layout.parallel.pipeline = pipeline;
  layout.parallel.tensor = tensor;
  layout.parallel.zero_stage = zero_stage;
  layout.parallel.virtual_stages = virtual_stages;
  if (virtual_stages > 1) layout.parallel.schedule = ScheduleType::kInterleaved;
  if (data > 1) layout.bucket_elements = 700;  // many, which cut tensors anywhere
  return layout;
}

std::vector<SavedLayout> layouts() {
  return {layout_of(1, 1, 1, 1), layout_of(2, 1, 1, 0), layout_of(2, 1, 1, 1), layout_of(3, 1, 1, 2),
          layout_of(1, 1, 2, 1), layout_of(1, 1, 4, 1), layout_of(1, 2, 1, 1), layout_of(1, 2, 1, 1, 2),
          layout_of(2, 1, 2, 1), layout_of(2, 1, 2, 0), layout_of(2, 2, 1, 2), layout_of(1, 2, 2, 1),
          layout_of(2, 2, 2, 1)};
}

// Every element of a model has a value of its own.
at::Tensor values_of(const ModelSpec& spec, const std::string& name) {
  std::int64_t first = 0;
  for (const LogicalTensor& tensor : logical_tensors(spec)) {
    if (tensor.name == name) return (at::arange(tensor.num_elements(), at::kFloat) + first).view(tensor.shape);
    first += tensor.num_elements();
  }
  throw InvariantError("the model has the tensor");
}

// One rank's parameters, and what it updates or saves of them.
class RankView {
 public:
  RankView(const ModelSpec& spec, const SavedLayout& layout, int world_rank) : spec_(spec), layout_(layout) {
    const MeshShape shape = layout.shape();
    const Coordinate place = coordinate_of(shape, world_rank);
    placed_ = rank_tensors(spec, pipeline_layout(layout.parallel, spec), place.pp_rank,
                           tensor_shard(shape, place, layout.parallel.sequence_parallel));
    rank_ = {.zero_stage = layout.parallel.zero_stage, .dp_rank = place.dp_rank};
    plan_.emplace(planned_parameters(placed_), shape.data, layout.bucket_elements);
  }
  [[nodiscard]] std::vector<SavedPiece> saved() const {
    std::vector<SavedPiece> pieces;
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const OwnedRun run = saved_run(*plan_, i, placed_[i], rank_);
      if (run.piece.flat.length == 0) continue;
      const LogicalTensor& tensor = placed_[i].tensor;
      pieces.push_back({"model", tensor.name, tensor.shape, run.piece, values(i, run.piece)});
    }
    return pieces;
  }
  void expect_loads(const Checkpoint& checkpoint, Communicator& world) const {
    std::vector<LoadRequest> requests;
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const LogicalTensor& tensor = placed_[i].tensor;
      const TensorPiece piece = owned_run(*plan_, i, placed_[i], rank_).piece;
      requests.push_back({"model", tensor.name, tensor.shape, piece, at::full({piece.flat.length}, -1, at::kFloat)});
    }
    load_pieces(checkpoint, requests, world);
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      EXPECT_TRUE(requests[i].into.equal(values(i, requests[i].piece))) << placed_[i].tensor.name;
    }
  }

 private:
  [[nodiscard]] at::Tensor values(std::size_t index, const TensorPiece& piece) const {
    const at::Tensor whole = values_of(spec_, placed_[index].tensor.name);
    const at::Tensor slice = piece.dim < 0 ? whole : whole.narrow(piece.dim, piece.part.begin, piece.part.length);
    return slice.reshape({-1}).narrow(0, piece.flat.begin, piece.flat.length);
  }

  const ModelSpec& spec_;
  const SavedLayout& layout_;
  std::vector<PlacedTensor> placed_;
  DataRank rank_;
  std::optional<ShardPlan> plan_;
};

class ReshardLayoutsTest : public ::testing::TestWithParam<bool> {};

// 13 x 13 pairs, both directions of each.
TEST_P(ReshardLayoutsTest, every_layout_reads_what_every_layout_has_saved) {
  ModelSpec spec = test::tiny_spec();
  spec.num_layers = 4;
  spec.tie_word_embeddings = GetParam();
  const TemporaryFolder folder;
  std::vector<std::string> paths;
  for (const SavedLayout& from : layouts()) {
    const std::string& path = paths.emplace_back(folder.path() / std::to_string(paths.size()));
    std::filesystem::create_directory(path);
    run_as_threads(from.num_ranks(), [&](GroupFactory& factory) {
      const auto world = factory.make_world_group();
      write_checkpoint(path, {}, RankView(spec, from, world->rank()).saved(), *world);
    });
  }
  for (const SavedLayout& to : layouts()) {
    run_as_threads(to.num_ranks(), [&](GroupFactory& factory) {
      const auto world = factory.make_world_group();
      const RankView view(spec, to, world->rank());
      for (std::size_t i = 0; i < paths.size(); ++i) {
        SCOPED_TRACE("saved as " + layouts()[i].name() + ", read as " + to.name());
        view.expect_loads(Checkpoint::open(paths[i]), *world);
      }
    });
  }
}

TEST_P(ReshardLayoutsTest, whole_tensors_come_from_every_layout) {
  ModelSpec spec = test::tiny_spec();
  spec.tie_word_embeddings = GetParam();
  for (const SavedLayout& from : {layout_of(3, 1, 1, 2), layout_of(2, 1, 2, 1)}) {
    const TemporaryFolder folder;
    run_as_threads(from.num_ranks(), [&](GroupFactory& factory) {
      const auto world = factory.make_world_group();
      write_checkpoint(folder.path(), {}, RankView(spec, from, world->rank()).saved(), *world);
    });
    const Checkpoint checkpoint = Checkpoint::open(folder.path());
    for (const LogicalTensor& tensor : logical_tensors(spec)) {
      EXPECT_TRUE(load_tensor(checkpoint, "model", tensor.name).equal(values_of(spec, tensor.name))) << tensor.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(TiedEmbeddings, ReshardLayoutsTest, ::testing::Bool());

// A thousand bytes anywhere: each is found, and the tensor named, or the file and the place.
TEST(CheckpointDamageTest, a_flipped_byte_at_a_thousand_places_is_always_found) {
  const ModelSpec spec = test::tiny_spec();
  const SavedLayout layout = layout_of(2, 1, 2, 1);
  const TemporaryFolder folder;
  run_as_threads(layout.num_ranks(), [&](GroupFactory& factory) {
    const auto world = factory.make_world_group();
    write_checkpoint(folder.path(), {}, RankView(spec, layout, world->rank()).saved(), *world);
  });
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder.path())) files.push_back(entry.path());
  std::ranges::sort(files);
  std::mt19937_64 random(5);
  int num_named = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::filesystem::path& file = files[random() % files.size()];
    const std::string whole = read_bytes(file);
    std::string damaged = whole;
    const std::size_t place = random() % whole.size();
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << random() % 8));
    write_bytes(file, damaged);
    try {
      Checkpoint::open(folder.path()).verify();
      ADD_FAILURE() << file << " at " << place;
    } catch (const InputError& error) {
      const std::string message = error.what();
      EXPECT_NE(message.find(file.string()), std::string::npos) << message;
      num_named += message.find("damaged in model/") != std::string::npos ? 1 : 0;
    }
    write_bytes(file, whole);
  }
  EXPECT_GT(num_named, 0);
  Checkpoint::open(folder.path()).verify();
}

}  // namespace
}  // namespace collimate
