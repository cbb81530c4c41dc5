// Pairs a second of the forward passes alone that scoring makes: the same streams, but no store, and nothing is read
// while the clock runs. `launch/mpirun -n 2 build/release/bench/forward_pass RUN.yaml` takes any file that `collimate
// reference` takes and that has no evaluation set; bench/compare_scoring.py runs it.

#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/engine/reduce_metrics.hpp"
#include "collimate/engine/reference_job.hpp"
#include "session.hpp"

namespace collimate {
namespace {

using Streams = std::vector<MicroBatch>;

std::unique_ptr<ModelSource> open_model(const RunConfig& config) {
  if (!config.data.eval.empty()) throw InputError("data.eval is set; forward_pass knows only data.train");
  return open_divided_model(reference_model(config), config.parallel);
}

std::vector<std::uint64_t> pairs_of(const ReferenceBlock& block) {
  std::vector<std::uint64_t> pairs;
  for (const PairPlace& place : block.places) pairs.push_back(place.pair);
  return pairs;
}

// What this rank's copy of the model has to do of the blocks of an empty store, read and packed.
std::vector<Streams> read_own(const app::Session& session, const RunData& data, const ModelSpec& spec,
                              std::span<const ReferenceBlock> blocks) {
  const MeshShape& shape = session.mesh.shape();
  PackingOptions packing = packing_options(session.config.batch, shape, spec, Responses::kBoth);
  packing.num_dp_ranks = 1;  // a block is one copy's alone
  const BatchSource source(data.train, packing, 0);
  std::vector<Streams> own;
  for (auto i = static_cast<std::size_t>(session.mesh.coordinate().dp_rank); i < blocks.size();
       i += static_cast<std::size_t>(shape.data)) {
    const std::vector<std::uint64_t> pairs = pairs_of(blocks[i]);
    check(source.stream_sizes(pairs).front() == block_streams(blocks[i].places, packing),
          "scoring has the same streams");
    own.push_back(source.read_all(source.plan(pairs)));
  }
  return own;
}

// The sum of all log-probs that this rank speaks for.
double evaluate(ModelPass& pass, std::span<const Streams> blocks) {
  const at::NoGradGuard no_grad;
  double sum = 0.0;
  for (const Streams& block : blocks) {
    pass.evaluate(block, [&](std::size_t, const ResponseLogProbs& log_probs) {
      // Waits for a device to be done, as scoring does.
      if (pass.is_speaker()) sum += log_probs.sums.sum().item<double>();
      return at::Tensor();
    });
  }
  return sum;
}

ExitCode run(const app::Session& session) {
  const RunConfig& config = session.config;
  const ProcessMesh& mesh = session.mesh;
  Communicator& world = mesh.world();
  const auto model = make_agreed(world, [&] { return open_model(config); });
  const RunData data = open_scanned_data(config, *model, world);
  const auto blocks = reference_blocks(data, nullptr, config.reference.block_pairs);
  const std::vector<Streams> own = read_own(session, data, model->spec(), blocks);
  const ModelShard shard = make_agreed(world, [&] {
    const ShardLayout layout = shard_layout(config.parallel, model->spec(), mesh);
    return build_shard(*model, layout, stage_options(reference_model(config).dtype, ShardUse::kForwardOnly, mesh));
  });
  ModelPass pass(shard, mesh, config.parallel);
  world.barrier();
  const auto start = std::chrono::steady_clock::now();
  std::vector<double> log_probs{evaluate(pass, own)};
  world.barrier();
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  reduce_metrics(log_probs, world);
  std::size_t num_pairs = 0;
  for (const ReferenceBlock& block : blocks) num_pairs += block.places.size();
  const nlohmann::ordered_json report{{"pairs", num_pairs},
                                      {"seconds", elapsed.count()},
                                      {"pairs_per_second", static_cast<double>(num_pairs) / elapsed.count()},
                                      {"log_probs", log_probs.front()}};
  if (world.rank() == 0) fmt::print("{}\n", report.dump());
  return ExitCode::kDone;
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  collimate::app::ConfigOptions options;
  CLI::App app("Pairs a second of the forward passes that scoring makes");
  app.add_option("CONFIG", options.file, "YAML file of the run")->required();
  app.add_option("--set", options.overrides, "key.path=value over the file's")->allow_extra_args(false);
  CLI11_PARSE(app, argc, argv);
  return static_cast<int>(collimate::app::run_session(options, collimate::run));
}
