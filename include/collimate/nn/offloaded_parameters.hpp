#pragma once
// Parameters that stay where they are stored and come to the device only while they are read: a frozen model takes the
// memory of two layers.

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/operation_queue.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/nn/parameter_keeper.hpp"

namespace collimate {

/// Brings the values of a shard in group by group, as its stages ask for them: a layer's, the embedding's, the head's
/// with the final norm's. Beside the group that is read it holds the next one, which comes in meanwhile; never the
/// head and the embedding at a time, unless they are one tensor. Forward passes alone.
class OffloadedParameters final : public ParameterKeeper {
 public:
  /// *Local.* `shard` was made with options.resident = false and must outlive this, which becomes its keeper. `loader`
  /// is also called from another thread; what it throws reaches the pass that waits.
  OffloadedParameters(ModelShard& shard, ParameterLoader loader);
  ~OffloadedParameters() override;

  void wait_for_values(std::span<const at::Tensor> parameters) override;
  void begin_gradients(int stage) override;
  void add_gradient(const at::Tensor& parameter, const AddGradient& add) override;
  void finish_gradients(int stage) override;

 private:
  using Group = std::vector<std::size_t>;  // indices of parameters

  [[nodiscard]] Group group_of(std::span<const at::Tensor> parameters) const;
  void finish_coming();
  void bring(std::size_t index);
  void let_go(std::size_t index);

  ModelShard& shard_;
  ParameterLoader loader_;
  std::vector<PlacedTensor> placed_;  // [parameters]
  std::unordered_map<const c10::TensorImpl*, std::size_t> index_;
  std::vector<bool> is_held_;  // [parameters]
  Group first_;                // of a pass
  Group current_;
  std::unordered_map<std::size_t, Group> followers_;  // what came after the group that begins with a parameter
  Group coming_;
  WorkHandle work_;       // null: nothing is coming
  OperationQueue queue_;  // last: ends before what it uses
};

}  // namespace collimate
