#pragma once
// Sections `reference` and `checkpoint` of the configuration: what is kept on disk about the frozen model and the run.

#include <cstdint>
#include <optional>
#include <string>

#include "collimate/config/dtype.hpp"
#include "collimate/config/fields.hpp"

namespace collimate {

/// When pairs that the store lacks are scored.
enum class ScoreTime {
  kBeforehand,  ///< by `collimate reference`; training stops where one is missing
  kAtStart      ///< by training, before it loads the policy
};

template <>
inline constexpr auto enum_names<ScoreTime> =
    std::to_array<EnumName<ScoreTime>>({{ScoreTime::kBeforehand, "beforehand"}, {ScoreTime::kAtStart, "at_start"}});

/// Where the frozen model's weights are while it scores.
enum class ReferencePlacement {
  kColocated,  ///< on the device, with the policy where both are the same
  kOffloaded   ///< in the model's files; two layers at a time are on the device
};

template <>
inline constexpr auto enum_names<ReferencePlacement> = std::to_array<EnumName<ReferencePlacement>>(
    {{ReferencePlacement::kColocated, "colocated"}, {ReferencePlacement::kOffloaded, "offloaded"}});

struct ReferenceConfig {
  std::optional<std::string> path;    ///< a Hugging Face folder; unset: model.path
  std::optional<std::string> store;   ///< the reference store (HDF5)
  std::optional<ComputeDtype> dtype;  ///< unset: model.dtype
  ScoreTime score = ScoreTime::kBeforehand;
  ReferencePlacement placement = ReferencePlacement::kColocated;
  std::int64_t block_pairs = 256;                 ///< pairs that are scored, and made durable, together
  std::optional<std::int64_t> microbatch_tokens;  ///< budget of a stream in scoring; unset: batch.microbatch_tokens
  bool per_token = false;                         ///< keep log-probs of single tokens, too

  bool operator==(const ReferenceConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("path", &ReferenceConfig::path, Role::kOperational, FilePath{}),
                      field("store", &ReferenceConfig::store, Role::kOperational, FilePath{}),
                      field("dtype", &ReferenceConfig::dtype, Role::kIdentity),
                      field("score", &ReferenceConfig::score, Role::kOperational),
                      field("placement", &ReferenceConfig::placement, Role::kOperational),
                      field("block_pairs", &ReferenceConfig::block_pairs, Role::kOperational, at_least(1)),
                      field("microbatch_tokens", &ReferenceConfig::microbatch_tokens, Role::kOperational, at_least(1)),
                      field("per_token", &ReferenceConfig::per_token, Role::kOperational)};
  }
};

struct CheckpointConfig {
  int save_steps = 200;                       ///< optimizer steps between checkpoints
  int save_total_limit = 3;                   ///< how many of the newest are kept
  int keep_every = 0;                         ///< those of steps that it divides are kept, too; 0: none
  bool asynchronous = true;                   ///< training goes on while a checkpoint is written
  std::int64_t buffer_bytes = 4'000'000'000;  ///< most that a rank copies for that; beyond it an update waits

  bool operator==(const CheckpointConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("save_steps", &CheckpointConfig::save_steps, Role::kOperational, at_least(1)),
                      field("save_total_limit", &CheckpointConfig::save_total_limit, Role::kOperational, at_least(1)),
                      field("keep_every", &CheckpointConfig::keep_every, Role::kOperational, at_least(0)),
                      field("asynchronous", &CheckpointConfig::asynchronous, Role::kOperational),
                      field("buffer_bytes", &CheckpointConfig::buffer_bytes, Role::kOperational, at_least(0))};
  }
};

}  // namespace collimate
