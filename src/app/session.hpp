#pragma once
// What the verbs share that run as a job of ranks: MPI, the mesh, the log, and a configuration that all ranks have read
// alike.

#include <functional>

#include "collimate/base/log.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "collimate/comm/notices.hpp"
#include "collimate/job/config.hpp"
#include "collimate/mesh/process_mesh.hpp"
#include "verbs.hpp"

namespace collimate::app {

/// A running job.
struct Session {
  const RunConfig& config;
  ProcessMesh& mesh;
  const Log& log;
  Notices& notices;
  std::function<void(ExitCode code)> end_job;  ///< *Local.* Ends the job whatever its ranks do; does not return
};

/// *Collective.* Starts MPI, reads the configuration on rank 0, runs `verb` on every rank and turns errors into one
/// message and an exit code. An error that the ranks have not agreed on ends the job at once.
ExitCode run_session(const ConfigOptions& options, const std::function<ExitCode(const Session&)>& verb);

}  // namespace collimate::app
