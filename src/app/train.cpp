#include "collimate/engine/stop_signal.hpp"
#include "collimate/train/training_run.hpp"
#include "session.hpp"

namespace collimate::app {

ExitCode run_train(const TrainOptions& options) {
  return run_session(options.config, [&](const Session& session) {
    const StopSignal stop;
    const TrainRequest request{.config_file = options.config.file,
                               .resume = {.text = options.resume},
                               .allowed_changes = options.allowed_changes,
                               .stop_requested = [&stop] { return stop.is_requested(); }};
    const auto run = TrainingRun::build(session.config, request, session.mesh, session.log);
    const ExitCode code = run->run();
    if (code == ExitCode::kInterrupted) session.log.info("interrupted; a checkpoint is saved, train again to go on");
    return code;
  });
}

}  // namespace collimate::app
