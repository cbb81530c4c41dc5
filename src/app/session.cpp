#include "session.hpp"

#include "collimate/comm/agreement.hpp"
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

ExitCode run_verb(const ConfigOptions& options, const MpiEnvironment& environment, const Log& log,
                  const std::function<ExitCode(const Session&)>& verb) {
  const auto world = environment.make_group("world");
  const RunConfig config = read_config(options, *world);
  const MeshShape shape = make_agreed(*world, [&] { return mesh_shape(config.parallel, environment.world_size()); });
  ProcessMesh mesh(environment, shape);
  return verb({.config = config, .mesh = mesh, .log = log});
}

// The other ranks may be waiting in a collective that this one will never enter.
ExitCode end_job(const MpiEnvironment& environment, const Log& log, const char* message, ExitCode code) {
  log.error("{}", message);
  if (environment.world_size() > 1) MpiEnvironment::abort_job(code);
  return code;
}

}  // namespace

ExitCode run_session(const ConfigOptions& options, const std::function<ExitCode(const Session&)>& verb) {
  const MpiEnvironment environment;
  const Log log(environment.world_rank());
  try {
    return run_verb(options, environment, log, verb);
  } catch (const AgreedError& error) {
    if (environment.world_rank() == 0) log.error("{}", error.what());
    return error.exit_code();
  } catch (const Error& error) {
    return end_job(environment, log, error.what(), error.exit_code());
  } catch (const std::exception& error) {
    return end_job(environment, log, error.what(), ExitCode::kFailure);
  }
}

}  // namespace collimate::app
