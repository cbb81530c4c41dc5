#include <filesystem>

#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/reference_job.hpp"
#include "collimate/io/atomic_file.hpp"
#include "collimate/io/file_lock.hpp"
#include "session.hpp"

namespace collimate::app {

namespace {

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

std::unique_ptr<ModelSource> open_reference_model(const RunConfig& config) {
  if (!config.reference.store) {
    throw InputError("reference.store is not set; give the file to write, as out/reference.h5");
  }
  return open_divided_model(reference_model(config), config.parallel);
}

}  // namespace

ExitCode run_reference(const ConfigOptions& options) {
  return run_session(options, [](const Session& session) {
    const RunConfig& config = session.config;
    Communicator& world = session.mesh.world();
    const auto model = make_agreed(world, [&] { return open_reference_model(config); });
    std::optional<FileLock> lock;
    run_agreed(world, [&] {
      if (world.rank() == 0) lock.emplace(*config.reference.store);
    });
    const RunData data = open_scanned_data(config, *model, world);
    const ReferenceIdentity identity = reference_identity(config, model_fingerprints(*model, world), data.train);
    const auto existing = make_agreed(world, [&] { return open_existing(*config.reference.store, identity); });
    const ReferenceStore* store = existing ? &*existing : nullptr;
    const std::vector<ReferenceBlock> blocks = reference_blocks(data, store, config.reference.block_pairs);
    if (blocks.empty()) {
      session.log.info("{} has every pair already", *config.reference.store);
      return ExitCode::kDone;
    }
    score_blocks({.config = config,
                  .mesh = session.mesh,
                  .log = session.log,
                  .model = *model,
                  .identity = identity,
                  .existing = store},
                 blocks);
    return ExitCode::kDone;
  });
}

}  // namespace collimate::app
