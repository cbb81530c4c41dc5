#pragma once
// The whole configuration of a run: the sum of what the modules declare, and where the run leaves its results.

#include <string>

#include "collimate/comm/config.hpp"
#include "collimate/config/fields.hpp"
#include "collimate/data/config.hpp"
#include "collimate/mesh/config.hpp"
#include "collimate/model/config.hpp"
#include "collimate/objective/config.hpp"
#include "collimate/optim/config.hpp"
#include "collimate/store/config.hpp"
#include "collimate/train/config.hpp"

namespace collimate {

struct OutputConfig {
  std::string directory;

  bool operator==(const OutputConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("directory", &OutputConfig::directory, Role::kOperational, FilePath{}).required()};
  }
};

struct RunConfig {
  ModelConfig model;
  ReferenceConfig reference;
  DataConfig data;
  ParallelConfig parallel;
  BatchConfig batch;
  ObjectiveConfig objective;
  OptimizerConfig optimizer;
  TrainConfig train;
  CheckpointConfig checkpoint;
  RuntimeConfig runtime;
  OutputConfig output;

  bool operator==(const RunConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{section("model", &RunConfig::model),
                      section("reference", &RunConfig::reference),
                      section("data", &RunConfig::data),
                      section("parallel", &RunConfig::parallel),
                      section("batch", &RunConfig::batch),
                      section("objective", &RunConfig::objective),
                      section("optimizer", &RunConfig::optimizer),
                      section("train", &RunConfig::train),
                      section("checkpoint", &RunConfig::checkpoint),
                      section("runtime", &RunConfig::runtime),
                      section("output", &RunConfig::output)};
  }
};

}  // namespace collimate
