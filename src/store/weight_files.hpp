#pragma once
// The weight files of a Hugging Face folder by their names. Private to src/store.

#include <string>
#include <string_view>
#include <vector>

#include "collimate/io/safetensors.hpp"

namespace collimate::detail {

inline constexpr const char* kSingleFileName = "model.safetensors";
inline constexpr const char* kIndexFileName = "model.safetensors.index.json";

/// Opens model.safetensors, or the shards that the index names. Throws InputError that lists every shard that is
/// missing and every difference between index and shards.
std::vector<SafetensorsFile> open_weight_files(const std::string& folder);

/// Whether a file of that name holds weights or training state in any framework's format, or indexes such files.
bool is_weight_file(std::string_view name);

}  // namespace collimate::detail
