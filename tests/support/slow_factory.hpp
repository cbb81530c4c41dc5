#pragma once
// Groups whose collectives take longer than they do: a slow link, for tests and measurements of what overlaps with it.

#include <memory>
#include <string>

#include "collimate/comm/group_factory.hpp"

namespace collimate::test {

struct SlowLink {
  std::string group = "data";  ///< the groups of this name are slow
  double seconds_per_megabyte = 0;
  double seconds_per_operation = 0;
  bool overlaps = true;  ///< false: operations that are started are done at once
};

/// *Collective.* Groups over those of `inner`, which must outlive the factory.
std::unique_ptr<GroupFactory> make_slow_factory(GroupFactory& inner, const SlowLink& link);

}  // namespace collimate::test
