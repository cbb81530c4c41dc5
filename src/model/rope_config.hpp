#pragma once
// RoPE of a config.json, in the spelling of transformers 4 (rope_theta, rope_scaling) or 5 (rope_parameters).

#include <cstdint>
#include <vector>

#include "collimate/model/spec.hpp"
#include "config_reader.hpp"

namespace collimate::detail {

/// Reads the RoPE keys of the top-level object `config`, with transformers' precedence.
RopeSpec read_rope(const nlohmann::json& config, std::int64_t max_position_embeddings,
                   std::vector<std::string>& problems);

}  // namespace collimate::detail
