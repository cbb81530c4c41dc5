#pragma once
// The `gloo` backend: CPU tensors over TCP, by libtorch's own ProcessGroupGloo.

#include <memory>

#include "collimate/comm/mpi/mpi_environment.hpp"

namespace collimate::detail {

/// *Collective.* Groups of processes, which find each other through a store whose address goes over MPI. Bytes go over
/// MPI too, as with `nccl`, for which this backend stands in the tests. `environment` must outlive the factory.
std::unique_ptr<GroupFactory> make_gloo_factory(MpiEnvironment& environment);

}  // namespace collimate::detail
