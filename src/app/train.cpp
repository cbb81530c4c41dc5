#include "collimate/engine/stop_signal.hpp"
#include "collimate/train/training_run.hpp"
#include "session.hpp"

namespace collimate::app {

ExitCode run_train(const TrainOptions& options) {
  const StopSignal signal;  // before MPI starts: a signal that comes early is not lost
  return run_session(options.config, [&](const Session& session) {
    JobStop stop(signal, session.notices, session.mesh.world().rank(), session.config.runtime.grace_seconds);
    const TrainRequest request{.config_file = options.config.file,
                               .resume = {.text = options.resume},
                               .allowed_changes = options.allowed_changes,
                               .stop = stop,
                               .end_job = session.end_job};
    return TrainingRun::build(session.config, request, session.mesh, session.log)->run();
  });
}

}  // namespace collimate::app
