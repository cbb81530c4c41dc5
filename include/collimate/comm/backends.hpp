#pragma once
// Which backend carries the tensors of a run: the one place that knows them all.

#include <memory>

#include "collimate/comm/config.hpp"
#include "collimate/comm/group_factory.hpp"

namespace collimate {

class JobStore;
class MpiEnvironment;

/// *Local.* The backend that `runtime` asks for: `auto` is mpi on a CPU and nccl on a GPU. The two must fit.
BackendType resolve_backend(const RuntimeConfig& config);

/// *Local.* Throws InputError unless this program can compute on the configured device, with the configured backend, on
/// this machine. Touches no device.
void require_device(const RuntimeConfig& config);

/// *Collective.* The groups of the configured backend; as require_device. With `nccl`, makes this rank's GPU the
/// current one. `environment` and `store` must outlive the factory.
std::unique_ptr<GroupFactory> make_group_factory(const RuntimeConfig& config, MpiEnvironment& environment,
                                                 JobStore& store);

}  // namespace collimate
