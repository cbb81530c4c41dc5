#pragma once
// The backends that carry CPU tensors between processes, for tests that must hold on each.

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <c10/core/Device.h>

#include "collimate/comm/backends.hpp"
#include "collimate/comm/job_store.hpp"
#include "support/mpi_world.hpp"

namespace collimate {

inline constexpr std::array kProcessBackends{BackendType::kMpi, BackendType::kGloo};

/// The groups of a backend, with a job's store of their own.
class BackendFactory final : public GroupFactory {
 public:
  explicit BackendFactory(BackendType backend)
      : factory_(make_group_factory({.device = DeviceType::kCpu, .backend = backend}, environment(), store_)) {}

  [[nodiscard]] int world_rank() const override { return factory_->world_rank(); }
  [[nodiscard]] int world_size() const override { return factory_->world_size(); }
  [[nodiscard]] c10::Device device() const override { return factory_->device(); }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override {
    return factory_->make_group(name, world_ranks);
  }

 private:
  std::unique_ptr<Communicator> world_ = collimate::make_world_group();
  JobStore store_{*world_};
  std::unique_ptr<GroupFactory> factory_;
};

/// *Collective.* A factory as a run with this `runtime.backend` has it.
inline std::unique_ptr<GroupFactory> make_backend_factory(BackendType backend) {
  return std::make_unique<BackendFactory>(backend);
}

}  // namespace collimate
