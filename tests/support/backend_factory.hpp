#pragma once
// The backends that carry CPU tensors between processes, for tests that must hold on each.

#include <array>
#include <memory>

#include "collimate/comm/backends.hpp"
#include "support/mpi_world.hpp"

namespace collimate {

inline constexpr std::array kProcessBackends{BackendType::kMpi, BackendType::kGloo};

/// *Collective.* A factory as a run with this `runtime.backend` has it.
inline std::unique_ptr<GroupFactory> make_backend_factory(BackendType backend) {
  return make_group_factory({.device = DeviceType::kCpu, .backend = backend}, environment());
}

}  // namespace collimate
