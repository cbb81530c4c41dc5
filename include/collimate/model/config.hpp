#pragma once
// Section `model` of the configuration: which weights the policy starts from.

#include <cstdint>
#include <optional>
#include <string>

#include "collimate/config/dtype.hpp"
#include "collimate/config/fields.hpp"

namespace collimate {

enum class ModelInitialize { kNone, kRandom };

template <>
inline constexpr auto enum_names<ModelInitialize> =
    std::to_array<EnumName<ModelInitialize>>({{ModelInitialize::kNone, "none"}, {ModelInitialize::kRandom, "random"}});

/// What a backward pass computes a second time instead of finding it kept.
enum class Recompute {
  kNone,
  kSelective,  ///< what takes no matrix product: the norms' outputs and the MLP's activation
  kFull,       ///< everything inside a decoder layer: of a layer only its input is kept
};

template <>
inline constexpr auto enum_names<Recompute> = std::to_array<EnumName<Recompute>>(
    {{Recompute::kNone, "none"}, {Recompute::kSelective, "selective"}, {Recompute::kFull, "full"}});

struct ModelConfig {
  std::optional<std::string> path;    ///< a Hugging Face folder; or
  std::optional<std::string> config;  ///< a config.json alone, with initialize: random
  ModelInitialize initialize = ModelInitialize::kNone;
  std::uint64_t init_seed = 0;
  ComputeDtype dtype = ComputeDtype::kFloat32;
  Recompute recompute = Recompute::kNone;

  bool operator==(const ModelConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("path", &ModelConfig::path, Role::kOperational, FilePath{}),
                      field("config", &ModelConfig::config, Role::kOperational, FilePath{}),
                      field("initialize", &ModelConfig::initialize, Role::kIdentity),
                      field("init_seed", &ModelConfig::init_seed, Role::kIdentity),
                      field("dtype", &ModelConfig::dtype, Role::kIdentity),
                      field("recompute", &ModelConfig::recompute, Role::kLayout)};
  }
};

}  // namespace collimate
