#pragma once
// Sums in rank order: MPI's own reductions leave the order to the library, and so the last bits.

#include "collimate/comm/communicator.hpp"
#include "mpi_group.hpp"

namespace collimate::detail {

/// *Collective.* Makes the own range (base/shard_range.hpp) of `values` the reduction of everyone's values in it, and
/// writes it to `output`, which may be that range itself.
void reduce_own_range(const MpiGroup& group, const at::Tensor& values, at::Tensor& output, ReduceOp op);

}  // namespace collimate::detail
