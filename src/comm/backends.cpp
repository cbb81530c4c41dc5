#include "collimate/comm/backends.hpp"

#include "collimate/base/error.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "gloo/gloo.hpp"
#include "nccl/nccl.hpp"

namespace collimate {

namespace {

// The environment's own groups, for an owner of factories.
class MpiFactory final : public GroupFactory {
 public:
  explicit MpiFactory(MpiEnvironment& environment) : environment_(&environment) {}

  [[nodiscard]] int world_rank() const override { return environment_->world_rank(); }
  [[nodiscard]] int world_size() const override { return environment_->world_size(); }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override {
    return environment_->make_group(name, world_ranks);
  }

 private:
  MpiEnvironment* environment_;
};

}  // namespace

BackendType resolve_backend(const RuntimeConfig& config) {
  check(fits(config.backend, config.device), "a configuration's backend fits its device");
  if (config.backend != BackendType::kAuto) return config.backend;
  return config.device == DeviceType::kCuda ? BackendType::kNccl : BackendType::kMpi;
}

void require_device(const RuntimeConfig& config) {
  if (resolve_backend(config) == BackendType::kNccl) detail::require_gpu();
}

std::unique_ptr<GroupFactory> make_group_factory(const RuntimeConfig& config, MpiEnvironment& environment,
                                                 JobStore& store) {
  require_device(config);
  switch (resolve_backend(config)) {
    case BackendType::kNccl:
      return detail::make_nccl_factory(environment, store);
    case BackendType::kGloo:
      return detail::make_gloo_factory(environment, store);
    default:
      return std::make_unique<MpiFactory>(environment);
  }
}

}  // namespace collimate
