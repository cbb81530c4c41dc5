#include "session.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "collimate/base/end_process.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/comm/backends.hpp"
#include "collimate/comm/failure_channel.hpp"
#include "collimate/comm/health_channel.hpp"
#include "collimate/config/load.hpp"
#include "collimate/engine/start_watch.hpp"
#include "collimate/engine/watchdog.hpp"
#include "collimate/job/output_folder.hpp"
#include "collimate/job/run_config.hpp"
#include "collimate/mesh/mesh_shape.hpp"

namespace collimate::app {

namespace {

// For MPI to end the job; then this process ends by itself.
constexpr std::chrono::milliseconds kEndPatience = std::chrono::seconds(10);

MpiEnvironment start_mpi(ActivityLog& activity) {
  note_work(&activity, "starting MPI");
  return MpiEnvironment();
}

// What the parts of a job share; its parts end in the opposite order.
struct Job {
  // Collective.
  explicit Job(const ConfigOptions& given)
      : options(given), start_watch(start_limit(given.overrides), activity, [](const std::string& message) {
          Log().error("{}", message);
          end_process_after(kEndPatience);
          if (MpiEnvironment::is_running()) MpiEnvironment::abort_job(ExitCode::kFailure);
          std::_Exit(static_cast<int>(ExitCode::kFailure));
        }) {}

  // Collective.
  void start_channels(const RunConfig& config) {
    store.emplace(*world, config.runtime.interface);
    failures.emplace(*store, *world, [this](const std::string& message, ExitCode code) {
      log.error("{}", message);
      MpiEnvironment::abort_job(code);
    });
  }

  // Collective.
  void start_watchdog(const RunConfig& config) {
    WatchdogOptions watchdog_options{
        .limit = {},
        .stacks_folder = OutputFolder::failures(config),
        .end_job = [this](const std::string& report) { failures->end_job(report, ExitCode::kFailure); },
        .end_without_rank_0 =
            [this](const std::string& report) {
              log.error("{}", report);
              MpiEnvironment::abort_job(ExitCode::kFailure);
            }};
    if (config.runtime.watchdog_seconds) watchdog_options.limit.emplace(*config.runtime.watchdog_seconds);
    watchdog.emplace(*store, *world, activity, std::move(watchdog_options));
    start_watch.pause();
  }

  ~Job() {
    note_work(&activity, "leaving the job");
    watchdog.reset();
    start_watch.resume();
  }
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  const ConfigOptions& options;
  ActivityLog activity;
  StartWatch start_watch;
  MpiEnvironment environment = start_mpi(activity);
  Log log{environment.world_rank()};
  std::unique_ptr<Communicator> world = environment.make_world_group();
  std::optional<JobStore> store;
  std::optional<FailureChannel> failures;
  std::optional<Watchdog> watchdog;
};

RunConfig read_config(const ConfigOptions& options, Communicator& world) {
  std::string text =
      make_agreed(world, [&] { return world.rank() == 0 ? read_config_file(options.file) : std::string(); });
  world.broadcast_bytes(text, 0);
  return make_agreed(world, [&] { return load_run_config(text, options.file, options.overrides); });
}

// From a thread beside the main one, on every rank. Rank 0 ends the others, which end themselves should it not.
void end_at_once(const Communicator& world, ExitCode code) {
  std::fflush(nullptr);  // MPI does not
  if (world.size() > 1 && world.rank() == 0) MpiEnvironment::abort_job(code);
  if (world.size() > 1) std::this_thread::sleep_for(kEndPatience);
  end_process(static_cast<int>(code));
}

ExitCode run_verb(Job& job, const std::function<ExitCode(const Session&)>& verb) {
  note_work(&job.activity, "reading the configuration");
  const RunConfig config = read_config(job.options, *job.world);
  note_work(&job.activity, "connecting the ranks");
  job.start_channels(config);
  job.start_watchdog(config);
  const MeshShape shape = make_agreed(*job.world, [&] {
    require_device(config.runtime);
    return mesh_shape(config.parallel, job.environment.world_size());
  });
  const auto tensors = make_group_factory(config.runtime, job.environment, *job.store);
  ProcessMesh mesh(job.environment, *tensors, shape);
  mesh.for_each_group([&](Communicator& group) { group.set_check_level(config.runtime.check_level); });
  mesh.set_activity(&job.activity);
  return verb({.config = config,
               .mesh = mesh,
               .log = job.log,
               .notices = job.watchdog->channel(),
               .end_job = [&job](ExitCode code) { end_at_once(*job.world, code); }});
}

// The other ranks may be waiting in a collective that this one will never enter.
ExitCode end_job(Job& job, const char* message, ExitCode code) {
  const bool is_alone = job.world->size() == 1;
  if (!is_alone && job.failures) job.failures->report_and_wait(message, code);
  job.log.error("{}", message);
  if (!is_alone) MpiEnvironment::abort_job(code);
  return code;
}

}  // namespace

ExitCode run_session(const ConfigOptions& options, const std::function<ExitCode(const Session&)>& verb) {
  Job job(options);
  job.world->set_activity(&job.activity);
  try {
    return run_verb(job, verb);
  } catch (const Stopped& stopped) {
    job.log.info("{}", stopped.what());
    return stopped.exit_code();
  } catch (const AgreedError& error) {
    if (job.world->rank() == 0) job.log.error("{}", error.what());
    return error.exit_code();
  } catch (const Error& error) {
    return end_job(job, error.what(), error.exit_code());
  } catch (const std::exception& error) {
    return end_job(job, error.what(), ExitCode::kFailure);
  }
}

}  // namespace collimate::app
