#include <chrono>
#include <filesystem>
#include <set>

#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/progress.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "collimate/engine/scorer.hpp"
#include "collimate/io/atomic_file.hpp"
#include "session.hpp"

namespace collimate::app {

namespace {

// Enough pairs to fill the streams of many ranks evenly, few enough to show progress.
constexpr std::int64_t kBlockPairs = 256;

struct Job {
  const Session& session;
  std::string store_path;
  std::unique_ptr<ModelSource> model;
  RunData data;
  ReferenceIdentity identity;
  std::optional<ReferenceStore> existing;
};

std::optional<ReferenceStore> open_existing(const std::string& path, const ReferenceIdentity& identity) {
  if (!std::filesystem::exists(path)) {
    // Finds out now whether the store can be written at all.
    const AtomicFile probe(path);
    return std::nullopt;
  }
  ReferenceStore store = ReferenceStore::open(path);
  require_same_identity(store.identity(), identity, path);
  return store;
}

Job open_job(const Session& session) {
  const RunConfig& config = session.config;
  Communicator& world = session.mesh.world();
  auto model = make_agreed(world, [&] {
    if (!config.reference.store)
      throw InputError("reference.store is not set; give the file to write, as out/reference.h5");
    return open_divided_model(reference_model(config), config.parallel);
  });
  RunData data = open_scanned_data(config, *model, world);
  const ReferenceIdentity identity = reference_identity(config, model_fingerprints(*model, world), data.train);
  auto existing = make_agreed(world, [&] { return open_existing(*config.reference.store, identity); });
  return {session, *config.reference.store, std::move(model), std::move(data), identity, std::move(existing)};
}

// The first pair of each id that the store lacks and `seen` does not have yet.
std::vector<std::uint64_t> missing_pairs(const Job& job, const PreferenceDataset& dataset, std::set<Hash128>& seen) {
  std::vector<std::uint64_t> pairs;
  for (std::uint64_t pair = 0; pair < dataset.size(); ++pair) {
    const Hash128 id = dataset.pair_id(pair);
    if (job.existing && job.existing->find(id)) continue;
    if (seen.insert(id).second) pairs.push_back(pair);
  }
  return pairs;
}

std::vector<ReferenceRow> score(const Job& job, ModelPass& pass, const PreferenceDataset& dataset,
                                std::span<const std::uint64_t> pairs) {
  const Session& session = job.session;
  const BatchSource source(
      dataset, packing_options(session.config.batch, session.mesh.shape(), job.model->spec(), Responses::kBoth),
      session.mesh.coordinate().dp_rank);
  const auto start = std::chrono::steady_clock::now();
  const auto progress = [&](std::uint64_t num_scored) {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    const double rate = static_cast<double>(num_scored) / elapsed.count();
    session.log.info("scored {}/{} pairs  pairs/s {:.2f}  left {}", num_scored, pairs.size(), rate,
                     clock_text(static_cast<double>(pairs.size() - num_scored) / rate));
  };
  return score_pairs(pass, source, pairs, kBlockPairs, session.mesh.world(), progress);
}

void write_store(const Job& job, std::vector<ReferenceRow> rows) {
  const ReferenceStore scored(job.identity, std::move(rows), job.session.config.batch.microbatch_tokens);
  Communicator& world = job.session.mesh.world();
  run_agreed(world, [&] {
    if (world.rank() == 0) (job.existing ? job.existing->merged_with(scored) : scored).write(job.store_path);
  });
}

}  // namespace

ExitCode run_reference(const ConfigOptions& options) {
  return run_session(options, [](const Session& session) {
    const Job job = open_job(session);
    std::set<Hash128> seen;
    const std::vector<std::uint64_t> train = missing_pairs(job, job.data.train, seen);
    const std::vector<std::uint64_t> eval =
        job.data.eval ? missing_pairs(job, *job.data.eval, seen) : std::vector<std::uint64_t>{};
    if (train.empty() && eval.empty()) {
      session.log.info("{} has every pair already", job.store_path);
      return ExitCode::kDone;
    }
    const ModelShard shard = make_agreed(session.mesh.world(), [&] {
      const ShardLayout layout = shard_layout(session.config.parallel, job.model->spec(), session.mesh);
      return build_shard(*job.model, layout, stage_options(job.identity.dtype, ShardUse::kForwardOnly, session.mesh));
    });
    ModelPass pass(shard, session.mesh, session.config.parallel);
    std::vector<ReferenceRow> rows = score(job, pass, job.data.train, train);
    if (!eval.empty()) {
      const std::vector<ReferenceRow> more = score(job, pass, *job.data.eval, eval);
      rows.insert(rows.end(), more.begin(), more.end());
    }
    const std::size_t num_rows = rows.size();
    write_store(job, std::move(rows));
    session.log.info("wrote {} rows to {}", num_rows, job.store_path);
    return ExitCode::kDone;
  });
}

}  // namespace collimate::app
