#pragma once
// The `gloo` backend: CPU tensors over TCP, by libtorch's own ProcessGroupGloo.

#include <memory>

#include "collimate/comm/job_store.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"

namespace collimate::detail {

/// *Collective.* Groups of processes, which find each other through the job's store and talk over its network. Bytes go
/// over MPI, as with `nccl`, for which this backend stands in the tests. `environment` and `store` must outlive the
/// factory.
std::unique_ptr<GroupFactory> make_gloo_factory(MpiEnvironment& environment, JobStore& store);

}  // namespace collimate::detail
