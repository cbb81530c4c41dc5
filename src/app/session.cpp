#include "session.hpp"

#include "collimate/comm/agreement.hpp"
#include "collimate/comm/backends.hpp"
#include "collimate/comm/failure_channel.hpp"
#include "collimate/config/load.hpp"
#include "collimate/job/run_config.hpp"
#include "collimate/mesh/mesh_shape.hpp"

namespace collimate::app {

namespace {

RunConfig read_config(const ConfigOptions& options, Communicator& world) {
  std::string text =
      make_agreed(world, [&] { return world.rank() == 0 ? read_config_file(options.file) : std::string(); });
  world.broadcast_bytes(text, 0);
  return make_agreed(world, [&] { return load_run_config(text, options.file, options.overrides); });
}

ExitCode run_verb(const ConfigOptions& options, MpiEnvironment& environment, Communicator& world, const Log& log,
                  const std::function<ExitCode(const Session&)>& verb) {
  const RunConfig config = read_config(options, world);
  const MeshShape shape = make_agreed(world, [&] {
    require_device(config.runtime);
    return mesh_shape(config.parallel, environment.world_size());
  });
  const auto tensors = make_group_factory(config.runtime, environment);
  ProcessMesh mesh(environment, *tensors, shape);
  mesh.for_each_group([&](Communicator& group) { group.set_check_level(config.runtime.check_level); });
  return verb({.config = config, .mesh = mesh, .log = log});
}

// The other ranks may be waiting in a collective that this one will never enter.
ExitCode end_job(FailureChannel& channel, const Communicator& world, const Log& log, const char* message,
                 ExitCode code) {
  if (world.size() > 1) channel.report_and_wait(message, code);
  log.error("{}", message);
  return code;
}

}  // namespace

ExitCode run_session(const ConfigOptions& options, const std::function<ExitCode(const Session&)>& verb) {
  MpiEnvironment environment;
  const Log log(environment.world_rank());
  const auto world = environment.make_world_group();
  JobStore store(*world);
  FailureChannel channel(store, *world, [&log](const std::string& message, ExitCode code) {
    log.error("{}", message);
    MpiEnvironment::abort_job(code);
  });
  try {
    return run_verb(options, environment, *world, log, verb);
  } catch (const AgreedError& error) {
    if (world->rank() == 0) log.error("{}", error.what());
    return error.exit_code();
  } catch (const Error& error) {
    return end_job(channel, *world, log, error.what(), error.exit_code());
  } catch (const std::exception& error) {
    return end_job(channel, *world, log, error.what(), ExitCode::kFailure);
  }
}

}  // namespace collimate::app
