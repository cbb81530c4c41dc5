#pragma once
// The weight files of a Hugging Face folder by their names. Private to src/store.

#include <map>
#include <string>
#include <vector>

#include "collimate/io/safetensors.hpp"

namespace collimate::detail {

inline constexpr const char* kSingleFileName = "model.safetensors";
inline constexpr const char* kIndexFileName = "model.safetensors.index.json";

/// What a folder has of weights. What of it a model needs, and what must not be missing, is fit_weights' matter.
struct WeightFiles {
  std::vector<SafetensorsFile> files;        ///< model.safetensors, or the shards of the index that are there
  std::map<std::string, std::string> index;  ///< tensor -> shard, as the index says; empty without one
  std::vector<std::string> unread;           ///< names of safetensors files and indexes beside them, sorted
};

/// *Local.* Opens model.safetensors, or else the shards that the index names. Throws InputError where there is neither,
/// which says what the folder has instead, and for a damaged file or index.
WeightFiles open_weight_files(const std::string& folder);

}  // namespace collimate::detail
