#pragma once
// Flat tensors that are put together from everyone's shard.

#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"
#include "collimate/optim/shard_plan.hpp"

namespace collimate {

/// Updated parameters on their way from the ranks that updated them, in the order in which a forward pass needs them.
class ParameterGather {
 public:
  /// Not owned: the data axis's group and the plan.
  ParameterGather(Communicator& data, const ShardPlan& plan) : data_(data), plan_(plan) {}

  /// *Collective* over the data axis. Every rank's parts of `flat` become the whole of it on every rank. The tensor
  /// must stay alive and unchanged until all of it has been waited for.
  void start(const at::Tensor& flat);
  /// *Local.* Returns when a parameter is there.
  void wait_for(std::size_t parameter);
  /// *Local.* Returns when everything is there.
  void wait();

 private:
  Communicator& data_;
  const ShardPlan& plan_;
  std::vector<WorkHandle> works_;  // by bucket; null: it is there
};

/// *Collective* over the data axis. The same at once, for any flat tensor of the plan's elements.
void gather_flat(Communicator& data, const ShardPlan& plan, const at::Tensor& flat);

}  // namespace collimate
