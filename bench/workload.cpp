#include "workload.hpp"

#include <memory>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

namespace collimate::bench {

ModelSpec workload_spec(std::int64_t sliding_window) {
  ModelSpec spec;
  spec.vocab_size = 8192;
  spec.hidden_size = 384;
  spec.intermediate_size = 1024;
  spec.num_layers = 6;
  spec.num_heads = 6;
  spec.num_kv_heads = 2;
  spec.head_dim = 64;
  spec.windowed_layers.assign(6, sliding_window > 0);
  if (sliding_window > 0) spec.sliding_window = sliding_window;
  return spec;
}

ParameterLoader workload_weights(const ModelSpec& spec) {
  const auto generator = std::make_shared<at::Generator>(at::detail::createCPUGenerator(17));
  return parts_of([generator, range = spec.initializer_range](const LogicalTensor& tensor) {
    if (tensor.shape.size() == 1) return at::ones(tensor.shape);
    return at::randn(tensor.shape, *generator, at::TensorOptions()).mul_(range);
  });
}

MicroBatch workload_microbatch(const ModelSpec& spec, std::int64_t microbatch_tokens, const PairLayout& layout) {
  std::vector<PairTokens> pairs;
  std::int64_t num_tokens = 0;
  for (std::int64_t i = 0;; ++i) {
    PairTokens pair{.lengths = {45 + i % 7 - 3, 380 + (i * 37) % 81 - 40, 380 + (i * 53) % 81 - 40}, .tokens = {}};
    num_tokens += num_stream_tokens(pair.lengths, layout);
    if (num_tokens > microbatch_tokens && !pairs.empty()) break;
    for (std::int64_t t = 0; t < pair.lengths.num_tokens(); ++t) {
      pair.tokens.push_back(static_cast<std::uint32_t>((t * 7919 + i * 104729) % spec.vocab_size));
    }
    pairs.push_back(std::move(pair));
  }
  return build_microbatch(pairs, layout);
}

}  // namespace collimate::bench
