#include "collimate/base/activity_log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/reference_job.hpp"
#include "session.hpp"

namespace collimate::app {

namespace {

std::unique_ptr<ModelSource> open_reference_model(const RunConfig& config) {
  if (!config.reference.store) {
    throw InputError("reference.store is not set; give the file to write, as out/reference.h5");
  }
  return open_divided_model(reference_model(config), config.parallel);
}

}  // namespace

ExitCode run_reference(const ConfigOptions& options) {
  const StopSignal signal;
  return run_session(options, [&signal](const Session& session) {
    const RunConfig& config = session.config;
    Communicator& world = session.mesh.world();
    JobStop stop(signal, session.notices, world.rank(), config.runtime.grace_seconds);
    note_work(world.activity(), "opening the model");
    const auto model = make_agreed(world, [&] { return open_reference_model(config); });
    tell_remarks(*model, session.log);
    const RunData data = open_scanned_data(config, *model, world);
    const ReferenceIdentity identity = reference_identity(config, model_fingerprints(*model, world), data.train);
    complete_reference_store({.config = config,
                              .mesh = session.mesh,
                              .log = session.log,
                              .model = *model,
                              .data = data,
                              .identity = identity,
                              .stop = &stop});
    return ExitCode::kDone;
  });
}

}  // namespace collimate::app
