#pragma once
// Small checkpoints for tests of the store.

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/full.h>

#include "collimate/comm/agreement.hpp"
#include "collimate/comm/solo.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/store/load_pieces.hpp"

namespace collimate {

inline CheckpointState sample_state(std::int64_t step) {
  return {.step = step,
          .trainer_state = {{"epoch", 0.1}, {"num_pairs_seen", step * 32}},
          .fingerprints = {{"data", "d"}, {"weights", "w"}},
          .configuration = "model:\n  path: \"a\"\nname: größer\n",
          .layout = {{"data", 2}}};
}

struct SampleTensor {
  std::string group;
  std::string name;
  at::Tensor value;
};

/// Weights in float32 and bfloat16, moments in float64; the values follow the step.
inline std::vector<SampleTensor> sample_tensors(std::int64_t step, std::int64_t hidden_size = 6) {
  const at::Tensor values =
      at::arange(4 * hidden_size, at::kFloat).reshape({4, hidden_size}) + static_cast<double>(step);
  return {{"exp_avg", "a.weight", values.to(at::kDouble).t().contiguous()},
          {"model", "a.weight", values},
          {"model", "b.bias", at::full({3}, 0.5, at::kBFloat16)}};
}

/// Them as one rank of `num_ranks` saves them: each slice of columns in two runs, vectors whole by the first rank.
inline std::vector<SavedPiece> sample_pieces(std::int64_t step, std::int64_t hidden_size = 6, int rank = 0,
                                             int num_ranks = 1) {
  std::vector<SavedPiece> pieces;
  const auto add = [&](const SampleTensor& tensor, const TensorPiece& piece, const at::Tensor& slice) {
    pieces.push_back({.group = tensor.group,
                      .name = tensor.name,
                      .shape = tensor.value.sizes().vec(),
                      .piece = piece,
                      .value = slice.reshape({-1}).narrow(0, piece.flat.begin, piece.flat.length)});
  };
  for (const SampleTensor& tensor : sample_tensors(step, hidden_size)) {
    const std::vector<std::int64_t> shape = tensor.value.sizes().vec();
    if (shape.size() == 1) {
      if (rank == 0) add(tensor, whole_piece(shape), tensor.value);
      continue;
    }
    const ShardRange columns = shard_range(shape[1], num_ranks, rank);
    add(tensor, slice_piece(shape, 1, columns), tensor.value.narrow(1, columns.begin, columns.length));
  }
  return pieces;
}

/// *Collective.* Saves a checkpoint as the folder `path`, which may be there and empty.
inline void write_checkpoint(const std::string& path, const CheckpointState& state, std::span<const SavedPiece> own,
                             Communicator& world) {
  const std::string store = path + ".store";
  const std::string saved = save_checkpoint(CheckpointStore(store, 1), state, own, world);
  if (world.rank() == 0) {
    std::filesystem::rename(saved, path);
    std::filesystem::remove_all(store);
  }
  world.barrier();
}

/// A group of one rank.
inline std::unique_ptr<Communicator> solo_group() { return SoloFactory().make_world_group(); }

/// What a rank asks for to get a sample's piece back, in the dtype it was saved in.
inline LoadRequest request_for(const SavedPiece& piece) {
  return {.group = piece.group,
          .name = piece.name,
          .shape = piece.shape,
          .piece = piece.piece,
          .into = at::full({piece.piece.flat.length}, -1, piece.value.scalar_type())};
}

/// The newest checkpoint of which every byte is right.
inline FoundCheckpoint find_newest_whole(const CheckpointStore& store, Communicator& world) {
  return store.load_newest(world,
                           [&](const Checkpoint& checkpoint) { run_agreed(world, [&] { checkpoint.verify(); }); });
}

}  // namespace collimate
