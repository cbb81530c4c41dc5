#include "c10d_factory.hpp"

#include "c10d_call.hpp"

namespace collimate::detail {

C10dFactoryOptions options_over(MpiEnvironment& environment, JobStore& store) {
  return {.world_rank = environment.world_rank(),
          .world_size = environment.world_size(),
          .store = with_prefix("tensors", make_job_store(store.values())),
          .control = &environment};
}

std::unique_ptr<Communicator> C10dFactory::make_group(const std::string& name, const std::vector<int>& world_ranks) {
  const int rank = rank_among(world_ranks);
  const int size = static_cast<int>(world_ranks.size());
  const std::string key = fmt::format("{}.{}.{}", num_groups_++, name, world_ranks.front());
  C10dLinks links;
  if (options_.control != nullptr) links.control = options_.control->make_group(name, world_ranks);
  if (size > 1) {
    const auto make = [&](const char* direction) {
      const Store store = with_prefix(key + direction, options_.store);
      return call_c10d("connecting the ranks", fmt::format("group '{}'", name),
                       [&] { return options_.make_backend(store, rank, size); });
    };
    links.up = make(".up");
    links.down = options_.has_two_directions ? make(".down") : links.up;
  }
  return std::make_unique<C10dCommunicator>(name, rank, size, options_.device, std::move(links));
}

}  // namespace collimate::detail
