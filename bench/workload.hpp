#pragma once
// The model and pairs of docs/performance.md: 15.7M parameters, ~45 prompt and ~380 response tokens.

#include <cstdint>

#include "collimate/data/microbatch.hpp"
#include "collimate/nn/model_shard.hpp"

namespace collimate::bench {

/// `sliding_window` 0: none.
ModelSpec workload_spec(std::int64_t sliding_window = 0);

/// Random weights, the same for every call.
ParameterLoader workload_weights(const ModelSpec& spec);

/// As many pairs as fit the token budget, with lengths that vary around the mean.
MicroBatch workload_microbatch(const ModelSpec& spec, std::int64_t microbatch_tokens, const PairLayout& layout = {});

}  // namespace collimate::bench
