#pragma once
// Section `parallel` of the configuration: how many ranks each axis of the mesh has.

#include <optional>

#include "collimate/config/fields.hpp"

namespace collimate {

struct ParallelConfig {
  std::optional<int> data;  ///< ranks of the data axis; unset (auto): as many as the job has left for it

  bool operator==(const ParallelConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("data", &ParallelConfig::data, Role::kLayout, at_least(1)).unset_as("auto")};
  }
};

}  // namespace collimate
