#pragma once
// What the passes of a stage hold and let go of, in the order of nn's own code: a layer, a function or a saved tensor
// that changes there changes here. Pure; docs/parallelism.md has the sums.

#include <cstdint>
#include <functional>
#include <span>

#include "collimate/base/memory_tape.hpp"
#include "collimate/comm/config.hpp"
#include "collimate/data/microbatch.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/placement.hpp"
#include "collimate/model/stage_split.hpp"

namespace collimate {

/// What of a microbatch decides its memory.
struct StreamSize {
  std::int64_t num_stream_tokens = 0;
  std::int64_t num_labelled_rows = 0;
  std::int64_t longest_segment = 0;  ///< Rows of one attention call.
  std::int64_t num_prefix_keys = 0;  ///< That segments see besides their own; each copy counts.
  bool operator==(const StreamSize&) const = default;
};

/// *Local.*
StreamSize stream_size(const MicroBatch& microbatch);
/// *Local.* Of a microbatch of these pairs.
StreamSize stream_size(std::span<const PairLengths> pairs, const PairLayout& layout);

/// Takes gradients of so many elements, from the last parameter of a stage on.
using OnGradient = std::function<void(std::int64_t elements)>;

/// A stage on one rank of the tensor axis, beside its parameters.
class StageMemory {
 public:
  /// `element_bytes`: of parameters and activations, 2, 4 or 8. Not owned: `spec`.
  StageMemory(const ModelSpec& spec, const StagePart& part, const TensorShard& shard, Recompute recompute,
              std::int64_t element_bytes, DeviceType device = DeviceType::kCpu);

  /// A pass that no backward pass follows: nothing is held afterwards but, until it is sent, the output, which is not
  /// counted here.
  void forward_only(MemoryTape& tape, const StreamSize& stream) const;
  /// Forward pass, and the head's behind the last stage: what is held afterwards waits for the backward pass.
  void forward(MemoryTape& tape, const StreamSize& stream) const;
  /// Backward pass with all gradients, or without those of weights: afterwards nothing of it is held, or only what
  /// weight_gradients() needs. `on_gradient` plays what happens when the gradients of a matrix are taken.
  void backward(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient = {}) const;
  void input_gradient(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient = {}) const;
  void weight_gradients(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient = {}) const;

  /// What goes to the next stage and, as a gradient, back.
  [[nodiscard]] std::int64_t message_bytes(const StreamSize& stream) const;
  [[nodiscard]] const StagePart& part() const { return part_; }

 private:
  class Play;

  const ModelSpec& spec_;
  StagePart part_;
  TensorShard shard_;
  Recompute recompute_;
  std::int64_t element_bytes_;
  DeviceType device_;
};

}  // namespace collimate
