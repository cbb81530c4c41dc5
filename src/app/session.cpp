#include "session.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "collimate/comm/agreement.hpp"
#include "collimate/comm/backends.hpp"
#include "collimate/comm/failure_channel.hpp"
#include "collimate/comm/health_channel.hpp"
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

// From a thread beside the main one, on every rank. Rank 0 ends the others, which end themselves should it not.
void end_at_once(const Communicator& world, ExitCode code) {
  std::fflush(nullptr);
  if (world.size() > 1 && world.rank() == 0) MpiEnvironment::abort_job(code);
  if (world.size() > 1) std::this_thread::sleep_for(std::chrono::seconds(10));
  std::_Exit(static_cast<int>(code));
}

ExitCode run_verb(const ConfigOptions& options, MpiEnvironment& environment, Communicator& world, JobStore& store,
                  const Log& log, const std::function<ExitCode(const Session&)>& verb) {
  const RunConfig config = read_config(options, world);
  const MeshShape shape = make_agreed(world, [&] {
    require_device(config.runtime);
    return mesh_shape(config.parallel, environment.world_size());
  });
  const auto tensors = make_group_factory(config.runtime, environment);
  ProcessMesh mesh(environment, *tensors, shape);
  mesh.for_each_group([&](Communicator& group) { group.set_check_level(config.runtime.check_level); });
  ActivityLog activity;
  HealthChannel health(store, world, activity, {});
  return verb({.config = config,
               .mesh = mesh,
               .log = log,
               .notices = health,
               .end_job = [&world](ExitCode code) { end_at_once(world, code); }});
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
    return run_verb(options, environment, *world, store, log, verb);
  } catch (const Stopped& stopped) {
    log.info("{}", stopped.what());
    return stopped.exit_code();
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
