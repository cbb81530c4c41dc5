// Time of one microbatch's forward and backward pass with random weights: what the model's own code costs, without
// data, optimizer or communication. By default the model and pairs of docs/performance.md: 15.7M parameters, ~45 prompt
// and ~380 response tokens.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/randn.h>
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/model/cost.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"

namespace collimate {
namespace {

struct Options {
  int num_threads = 2;
  int num_repeats = 5;
  std::int64_t microbatch_tokens = 4096;
  bool prefix_sharing = true;
  std::int64_t sliding_window = 0;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

ModelSpec bench_spec(const Options& options) {
  ModelSpec spec;
  spec.vocab_size = 8192;
  spec.hidden_size = 384;
  spec.intermediate_size = 1024;
  spec.num_layers = 6;
  spec.num_heads = 6;
  spec.num_kv_heads = 2;
  spec.head_dim = 64;
  spec.windowed_layers.assign(6, options.sliding_window > 0);
  if (options.sliding_window > 0) spec.sliding_window = options.sliding_window;
  return spec;
}

ModelShard random_shard(const ModelSpec& spec) {
  at::Generator generator = at::detail::createCPUGenerator(17);
  return ModelShard(spec, [&](const LogicalTensor& tensor) {
    if (tensor.shape.size() == 1) return at::ones(tensor.shape);
    return at::randn(tensor.shape, generator, at::TensorOptions()).mul_(spec.initializer_range);
  });
}

// As many pairs as fit the token budget, with lengths that vary around the mean.
MicroBatch bench_microbatch(const ModelSpec& spec, const Options& options) {
  const PairLayout layout{.prefix_sharing = options.prefix_sharing};
  std::vector<PairTokens> pairs;
  std::int64_t num_tokens = 0;
  for (std::int64_t i = 0;; ++i) {
    PairTokens pair{.lengths = {45 + i % 7 - 3, 380 + (i * 37) % 81 - 40, 380 + (i * 53) % 81 - 40}, .tokens = {}};
    num_tokens += num_stream_tokens(pair.lengths, layout);
    if (num_tokens > options.microbatch_tokens && !pairs.empty()) break;
    for (std::int64_t t = 0; t < pair.lengths.num_tokens(); ++t) {
      pair.tokens.push_back(static_cast<std::uint32_t>((t * 7919 + i * 104729) % spec.vocab_size));
    }
    pairs.push_back(std::move(pair));
  }
  return build_microbatch(pairs, layout);
}

struct Times {
  double forward;
  double head;
  double backward;
  [[nodiscard]] double total() const { return forward + head + backward; }
};

Times run_once(const ModelShard& shard, const MicroBatch& microbatch) {
  for (const Parameter& parameter : shard.parameters()) parameter.value.mutable_grad().reset();
  auto start = std::chrono::steady_clock::now();
  const at::Tensor hidden = shard.stage(0).forward(microbatch);
  const double forward = seconds_since(start);
  start = std::chrono::steady_clock::now();
  const at::Tensor sums =
      response_log_probs(hidden, shard.stage(0).head(), microbatch.rows, microbatch.num_responses).sums;
  const double head = seconds_since(start);
  start = std::chrono::steady_clock::now();
  sums.backward(at::ones_like(sums));
  return {.forward = forward, .head = head, .backward = seconds_since(start)};
}

void run(const Options& options) {
  at::set_num_threads(options.num_threads);
  const ModelSpec spec = bench_spec(options);
  const ModelShard shard = random_shard(spec);
  const MicroBatch microbatch = bench_microbatch(spec, options);
  const MicroBatchCounts counts = count_microbatch(microbatch, spec.sliding_window);
  const double flops = 3 * forward_flops(spec, {.num_tokens = counts.num_stream_tokens,
                                                .num_labelled_rows = counts.num_labelled_rows,
                                                .num_attended_keys = counts.num_attended_keys,
                                                .num_windowed_keys = counts.num_windowed_keys})
                               .total();
  (void)run_once(shard, microbatch);
  std::vector<Times> times;
  for (int i = 0; i < options.num_repeats; ++i) times.push_back(run_once(shard, microbatch));
  const Times best = *std::ranges::min_element(times, {}, &Times::total);
  const auto pairs = static_cast<double>(microbatch.num_pairs());
  fmt::print("{} parameters, {} pairs, {} tokens, {} labelled rows, {} threads\n", num_parameters(spec),
             microbatch.num_pairs(), counts.num_stream_tokens, counts.num_labelled_rows, options.num_threads);
  fmt::print("forward {:.1f} ms, head {:.1f} ms, backward {:.1f} ms (best of {})\n", 1e3 * best.forward,
             1e3 * best.head, 1e3 * best.backward, options.num_repeats);
  fmt::print("{:.2f} pairs/s, {:.0f} tokens/s, {:.1f} GFLOP/s\n", pairs / best.total(),
             static_cast<double>(counts.num_stream_tokens) / best.total(), flops / best.total() / 1e9);
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  collimate::Options options;
  CLI::App app("Forward and backward time of one microbatch");
  app.add_option("--threads", options.num_threads);
  app.add_option("--repeats", options.num_repeats);
  app.add_option("--microbatch-tokens", options.microbatch_tokens);
  app.add_option("--prefix-sharing", options.prefix_sharing);
  app.add_option("--sliding-window", options.sliding_window, "0: none");
  CLI11_PARSE(app, argc, argv);
  collimate::run(options);
  return 0;
}
