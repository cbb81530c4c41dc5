#include "collimate/comm/group_factory.hpp"

#include <algorithm>
#include <numeric>

#include <c10/core/Device.h>

#include "collimate/base/error.hpp"

namespace collimate {

c10::Device GroupFactory::device() const { return c10::DeviceType::CPU; }

std::unique_ptr<Communicator> GroupFactory::make_world_group() {
  std::vector<int> all(static_cast<std::size_t>(world_size()));
  std::iota(all.begin(), all.end(), 0);
  return make_group("world", all);
}

int GroupFactory::rank_among(const std::vector<int>& world_ranks) const {
  const auto place = std::ranges::find(world_ranks, world_rank());
  check(place != world_ranks.end(), "a rank is a member of the groups that it makes");
  return static_cast<int>(place - world_ranks.begin());
}

}  // namespace collimate
