#pragma once
// Sections `data` and `batch` of the configuration: which pairs are trained on, and in what portions.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/config/fields.hpp"

namespace collimate {

/// One preference file.
struct DataSource {
  std::string path;
  double repeat = 1.0;  ///< how often an epoch goes through it; a part of it for a fraction

  /// A bare path stands for {path: ...}.
  static constexpr std::string_view kShorthandKey = "path";

  bool operator==(const DataSource&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("path", &DataSource::path, Role::kOperational, FilePath{}).required(),
                      field("repeat", &DataSource::repeat, Role::kIdentity, above(0))};
  }
};

struct DataConfig {
  std::vector<DataSource> train;
  std::vector<DataSource> eval;
  bool shuffle = true;          ///< false: file order
  double min_confidence = 0.0;  ///< pairs with |2 label - 1| below it are left out

  bool operator==(const DataConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("train", &DataConfig::train, Role::kIdentity).required(),
                      field("eval", &DataConfig::eval, Role::kSchedule),
                      field("shuffle", &DataConfig::shuffle, Role::kIdentity),
                      field("min_confidence", &DataConfig::min_confidence, Role::kIdentity, between(0, 1))};
  }
};

struct BatchConfig {
  std::int64_t global_batch_size = 32;    ///< pairs per optimizer step, over all ranks
  std::int64_t eval_batch_size = 64;      ///< pairs per evaluation step, over all ranks
  std::int64_t microbatch_tokens = 4096;  ///< token budget of one packed stream
  bool prefix_sharing = true;             ///< the prompt of a pair is in the stream once

  bool operator==(const BatchConfig&) const = default;

  static constexpr auto fields() {
    return std::tuple{field("global_batch_size", &BatchConfig::global_batch_size, Role::kIdentity, at_least(1)),
                      field("eval_batch_size", &BatchConfig::eval_batch_size, Role::kLayout, at_least(1)),
                      field("microbatch_tokens", &BatchConfig::microbatch_tokens, Role::kLayout, at_least(1)),
                      field("prefix_sharing", &BatchConfig::prefix_sharing, Role::kLayout)};
  }
};

}  // namespace collimate
