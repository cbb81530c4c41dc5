// Time of one microbatch's forward and backward pass with random weights: what the model's own code costs, without
// data, optimizer or communication. By default the model and pairs of docs/performance.md: 15.7M parameters, ~45 prompt
// and ~380 response tokens.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/ones_like.h>
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "collimate/model/cost.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"
#include "workload.hpp"

namespace collimate {
namespace {

struct Options {
  int num_threads = 2;
  int num_repeats = 5;
  std::int64_t microbatch_tokens = 4096;
  bool prefix_sharing = true;
  std::int64_t sliding_window = 0;
  bool bfloat16 = false;
};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
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
  const ModelSpec spec = bench::workload_spec(options.sliding_window);
  const ModelShard shard(spec, bench::workload_weights(spec), {.dtype = options.bfloat16 ? at::kBFloat16 : at::kFloat});
  const PairLayout layout{.prefix_sharing = options.prefix_sharing};
  const MicroBatch microbatch = bench::workload_microbatch(spec, options.microbatch_tokens, layout);
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
  app.add_flag("--bfloat16", options.bfloat16);
  app.add_option("--sliding-window", options.sliding_window, "0: none");
  CLI11_PARSE(app, argc, argv);
  collimate::run(options);
  return 0;
}
