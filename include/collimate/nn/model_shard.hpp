#pragma once
// ModelShard: everything that one rank holds of a model: its stages, and the parameters behind them.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/model/rank_tensors.hpp"
#include "collimate/nn/parameter.hpp"
#include "collimate/nn/parameter_keeper.hpp"
#include "collimate/nn/stage.hpp"

namespace collimate {

/// Gives the rank's part of a tensor, in part_shape(); any dtype. It may lie in memory that is only lent: it is copied
/// at once.
using ParameterLoader = std::function<at::Tensor(const PlacedTensor&)>;
/// Gives whole tensors, in their logical shapes, likewise.
using WholeTensors = std::function<at::Tensor(const LogicalTensor&)>;
/// The rank's parts of whole tensors.
ParameterLoader parts_of(WholeTensors whole);

/// *Local.* This rank's part of a tensor as a stage computes with it: its own memory, in the options' dtype and on
/// their device. Throws InvariantError if the loader gives another shape.
at::Tensor load_part(const PlacedTensor& placed, const ParameterLoader& loader, const StageOptions& options);

/// Which part of the model a rank holds.
struct ShardLayout {
  PipelineLayout pipeline;
  int pp_rank = 0;
  TensorAxis axis;
};

class ModelShard {
 public:
  /// Loads this rank's part of every parameter; of none where options.resident is false. Throws InvariantError if the
  /// loader gives another shape. *Local.* The axis's group must outlive the shard.
  ModelShard(ModelSpec spec, ShardLayout layout, const ParameterLoader& loader, const StageOptions& options = {});
  /// The whole model on this rank.
  ModelShard(const ModelSpec& spec, const ParameterLoader& loader, const StageOptions& options = {});
  ~ModelShard();
  ModelShard(ModelShard&&) noexcept;
  ModelShard& operator=(ModelShard&&) noexcept;

  [[nodiscard]] const ModelSpec& spec() const;
  [[nodiscard]] const ShardLayout& layout() const;
  [[nodiscard]] const StageOptions& options() const;
  /// In the order of rank_tensors(). The tensors are shared with the stages: an optimizer updates them in place.
  [[nodiscard]] std::span<const Parameter> parameters() const;
  /// A stage by its index in the pipeline. Throws InvariantError if it is another rank's.
  [[nodiscard]] const Stage& stage(int stage_index) const;
  /// From now on the parameters' values are waited for, and their gradients go to `keeper`; not owned, null: values are
  /// there and gradients add up in the parameters. At most one for the life of a shard.
  void set_keeper(ParameterKeeper* keeper);
  [[nodiscard]] ParameterKeeper* keeper() const;
  /// Takes the weight gradients of all stages while it defers.
  [[nodiscard]] WeightGradientQueue& queue() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
