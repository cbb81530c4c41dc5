#pragma once
// The `nccl` backend: GPU tensors, by libtorch's own ProcessGroupNCCL. A build against the CPU libtorch has no_nccl.cpp
// in place of nccl.cpp.

#include <memory>

#include "collimate/comm/job_store.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"

namespace collimate::detail {

/// *Local.* Throws InputError when this program or this machine cannot compute on a GPU.
void require_gpu();

/// *Collective.* Each rank of a machine gets a GPU of its own, in rank order, and makes it the current one. Throws
/// InputError, agreed on, when there are too few. `environment` and `store` must outlive the
/// factory.
std::unique_ptr<GroupFactory> make_nccl_factory(MpiEnvironment& environment, JobStore& store);

}  // namespace collimate::detail
