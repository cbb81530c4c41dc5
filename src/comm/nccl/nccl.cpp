#define USE_C10D_NCCL  // what libtorch's header asks for

#include "nccl.hpp"

#include <algorithm>
#include <exception>

#include <ATen/cuda/CUDAContextLight.h>
#include <c10/core/AllocatorConfig.h>
#include <c10/cuda/CUDAFunctions.h>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>

#include "../c10d/c10d_factory.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate::detail {

namespace {

using Nccl = c10d::ProcessGroupNCCL;

// NCCL wants to be told how it ends: in peace when all of its work is done, at once when this rank has failed and the
// others may never come.
class OwnedNccl final : public Nccl {
 public:
  using Nccl::Nccl;
  OwnedNccl(const OwnedNccl&) = delete;
  OwnedNccl& operator=(const OwnedNccl&) = delete;
  ~OwnedNccl() override {
    try {
      if (std::uncaught_exceptions() == 0) {
        shutdown();
      } else {
        abort();
      }
    } catch (const std::exception&) {
      return;  // another rank has gone: its own failure says more
    }
  }
};

// Ranks on hosts: how many of `hosts` before this one are the same.
int local_rank_of(const std::vector<std::string>& hosts, int rank) {
  const auto own = hosts.begin() + rank;
  return static_cast<int>(std::count(hosts.begin(), own, *own));
}

std::string uuid_of(c10::DeviceIndex device) {
  std::string text;
  for (const char byte : at::cuda::getDeviceProperties(device)->uuid.bytes) {
    text += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

// Two ranks may see different GPUs under the same number, or the same one under different numbers.
void require_own_gpu(Communicator& world, const std::string& host, c10::DeviceIndex device) {
  const std::vector<std::string> gpus = world.all_gather_bytes(fmt::format("{} {}", host, uuid_of(device)));
  const std::string& own = gpus.at(static_cast<std::size_t>(world.rank()));
  const auto first = static_cast<int>(std::ranges::find(gpus, own) - gpus.begin());
  run_agreed(world, [&] {
    if (first == world.rank()) return;
    throw InputError(fmt::format(
        "runtime.device: cuda: ranks {} and {} would share GPU {} of {}, which shows {} to each of them; start "
        "one rank a GPU",
        first, world.rank(), static_cast<int>(device), host, static_cast<int>(c10::cuda::device_count())));
  });
}

// One that was given to this rank alone is its first; of those that a whole host sees each rank takes the next.
c10::DeviceIndex take_gpu(MpiEnvironment& environment) {
  const auto world = environment.make_world_group();
  run_agreed(*world, require_gpu);
  const std::string host = host_name();
  const int local_rank = local_rank_of(world->all_gather_bytes(host), world->rank());
  const auto device = static_cast<c10::DeviceIndex>(local_rank % c10::cuda::device_count());
  c10::cuda::set_device(device);
  // Streams are never twice of one size: without this, freed memory of other sizes is given back and asked for again,
  // and the device waits each time.
  c10::CachingAllocator::setAllocatorSettings("expandable_segments:True");
  require_own_gpu(*world, host, device);
  return device;
}

C10dBackend make_backend(const Store& store, int rank, int size) {
  return c10::make_intrusive<OwnedNccl>(store, rank, size, Nccl::Options::create());
}

}  // namespace

void require_gpu() {
  try {
    c10::cuda::device_count_ensure_non_zero();
  } catch (const c10::Error& error) {
    const std::string reason = error.what_without_backtrace();
    throw InputError(fmt::format("runtime.device: cuda: {} has no GPU that can be used: {}; set runtime.device: cpu",
                                 host_name(), reason.substr(0, reason.find('\n'))));
  }
}

std::unique_ptr<GroupFactory> make_nccl_factory(MpiEnvironment& environment, JobStore& store) {
  const c10::DeviceIndex device = take_gpu(environment);
  C10dFactoryOptions options = options_over(environment, store);
  options.device = at::Device(at::kCUDA, device);
  options.make_backend = make_backend;
  options.has_two_directions = true;
  return std::make_unique<C10dFactory>(std::move(options));
}

}  // namespace collimate::detail
