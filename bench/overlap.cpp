// What a slow link of the data axis costs a training step with and without overlap: `launch/mpirun -n 2
// build/release/bench/overlap`. Every collective of the axis is delayed by its size; settings take turns.

#include <algorithm>
#include <chrono>
#include <memory>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "collimate/comm/mpi/mpi_environment.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/train/policy.hpp"
#include "support/slow_factory.hpp"
#include "workload.hpp"

namespace collimate {
namespace {

struct Options {
  int num_rounds = 5;
  int num_microbatches = 2;
  std::int64_t microbatch_tokens = 4096;
  int zero_stage = 1;
  double seconds_per_megabyte = 0.004;
};

// One training run, of which steps can be made at any time.
class Contender {
 public:
  Contender(MpiEnvironment& environment, const Options& options, const test::SlowLink& link)
      : factory_(test::make_slow_factory(environment, link)),
        parallel_{.zero_stage = options.zero_stage},
        mesh_(environment, *factory_, mesh_shape(parallel_, environment.world_size())),
        spec_(bench::workload_spec()),
        microbatches_(static_cast<std::size_t>(options.num_microbatches),
                      bench::workload_microbatch(spec_, options.microbatch_tokens)),
        policy_(ModelShard(spec_, shard_layout(parallel_, spec_, mesh_), bench::workload_weights(spec_),
                           stage_options(ComputeDtype::kFloat32, ShardUse::kTraining, mesh_)),
                {}, {.zero_stage = options.zero_stage}, mesh_),
        pass_(policy_.shard(), mesh_, parallel_) {}

  double step_seconds() {
    mesh_.world().barrier();
    const auto start = std::chrono::steady_clock::now();
    policy_.begin_step(static_cast<int>(microbatches_.size()));
    pass_.train(microbatches_, [](std::size_t, const ResponseLogProbs& log_probs) { return -log_probs.sums.mean(); });
    static_cast<void>(policy_.end_passes());
    policy_.update(1e-6, policy_.reduce_gradients(), 1.0);
    mesh_.world().barrier();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  std::unique_ptr<GroupFactory> factory_;
  ParallelConfig parallel_;
  ProcessMesh mesh_;
  ModelSpec spec_;
  std::vector<MicroBatch> microbatches_;
  Policy policy_;
  ModelPass pass_;
};

double median(std::vector<double> values) {
  std::ranges::nth_element(values, values.begin() + std::ssize(values) / 2);
  return values[values.size() / 2];
}

void run(const Options& options) {
  MpiEnvironment environment;
  const double slow = options.seconds_per_megabyte;
  std::vector<std::unique_ptr<Contender>> contenders;
  for (const bool overlaps : {true, false}) {
    for (const double seconds : {0.0, slow}) {
      const test::SlowLink link{.seconds_per_megabyte = seconds, .overlaps = overlaps};
      contenders.push_back(std::make_unique<Contender>(environment, options, link));
    }
  }
  std::vector<std::vector<double>> seconds(contenders.size());
  for (int round = 0; round <= options.num_rounds; ++round) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      // The first of two steps begins with parameters that have arrived.
      (void)contenders[i]->step_seconds();
      const double step = contenders[i]->step_seconds();
      if (round > 0) seconds[i].push_back(step);
    }
  }
  if (environment.world_rank() != 0) return;
  const double overlapped = median(seconds[1]) - median(seconds[0]);
  const double waiting = median(seconds[3]) - median(seconds[2]);
  fmt::print("zero_stage {}, {} ranks, medians of {} steps\n", options.zero_stage, environment.world_size(),
             options.num_rounds);
  fmt::print("step without delay {:.3f} s, without overlap {:.3f} s\n", median(seconds[0]), median(seconds[2]));
  fmt::print("a slow link adds {:.3f} s, without overlap {:.3f} s: {:.2f} of it\n", overlapped, waiting,
             overlapped / waiting);
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  collimate::Options options;
  CLI::App app("What a slow link costs with and without overlap");
  app.add_option("--rounds", options.num_rounds);
  app.add_option("--microbatches", options.num_microbatches);
  app.add_option("--microbatch-tokens", options.microbatch_tokens);
  app.add_option("--zero-stage", options.zero_stage);
  app.add_option("--seconds-per-megabyte", options.seconds_per_megabyte);
  CLI11_PARSE(app, argc, argv);
  collimate::run(options);
  return 0;
}
