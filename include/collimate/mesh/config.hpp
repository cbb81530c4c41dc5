#pragma once
// Section `parallel` of the configuration: how many ranks each axis of the mesh has, and in what order the pipeline
// works.

#include <optional>
#include <vector>

#include "collimate/config/fields.hpp"

namespace collimate {

/// The order in which the pipeline's ranks work through microbatches (pipeline/generate.hpp).
enum class ScheduleType { kGpipe, k1f1b, kInterleaved, kZbH1, kZbv };

template <>
inline constexpr auto enum_names<ScheduleType> =
    std::to_array<EnumName<ScheduleType>>({{ScheduleType::kGpipe, "gpipe"},
                                           {ScheduleType::k1f1b, "1f1b"},
                                           {ScheduleType::kInterleaved, "interleaved"},
                                           {ScheduleType::kZbH1, "zb_h1"},
                                           {ScheduleType::kZbv, "zbv"}});

struct ParallelConfig {
  std::optional<int> data;        ///< ranks of the data axis; unset (auto): as many as the other axes leave
  int pipeline = 1;               ///< ranks that hold a part of the layers each
  int tensor = 1;                 ///< ranks that hold a part of each matrix each
  bool sequence_parallel = true;  ///< norms and residuals are divided over the tensor axis, too
  ScheduleType schedule = ScheduleType::k1f1b;
  int virtual_stages = 1;  ///< stages on each pipeline rank: interleaved takes any number, zbv two, the others one
  std::optional<std::vector<int>> layers_per_stage;  ///< one number a stage; unset (auto): even in cost
  int zero_stage = 1;  ///< what the data axis divides: 0 nothing, 1 the optimizer's moments, 2 gradients, too

  bool operator==(const ParallelConfig&) const = default;

  static constexpr auto fields() {
    using Config = ParallelConfig;
    return std::tuple{field("data", &Config::data, Role::kLayout, at_least(1)).unset_as("auto"),
                      field("pipeline", &Config::pipeline, Role::kLayout, at_least(1)),
                      field("tensor", &Config::tensor, Role::kLayout, at_least(1)),
                      field("sequence_parallel", &Config::sequence_parallel, Role::kLayout),
                      field("schedule", &Config::schedule, Role::kLayout),
                      field("virtual_stages", &Config::virtual_stages, Role::kLayout, at_least(1)),
                      field("layers_per_stage", &Config::layers_per_stage, Role::kLayout, at_least(1)).unset_as("auto"),
                      field("zero_stage", &Config::zero_stage, Role::kLayout, between(0, 2))};
  }
};

}  // namespace collimate
