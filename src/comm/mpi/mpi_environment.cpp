#include "collimate/comm/mpi/mpi_environment.hpp"

#include <array>
#include <cstdlib>

#include <fmt/format.h>
#include <mpi.h>

#include "mpi_call.hpp"
#include "mpi_communicator.hpp"
#include "mpi_progress.hpp"

namespace collimate {

namespace detail {

void require_mpi(int code, std::string_view call, std::string_view group) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(fmt::format("{} failed on group '{}': {}", call, group, text.data()));
}

}  // namespace detail

MpiEnvironment::MpiEnvironment() : progress_(std::make_unique<detail::MpiProgress>()) {
  int provided = MPI_THREAD_SINGLE;
  detail::require_mpi(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_MULTIPLE, &provided), "MPI_Init_thread", "world");
  if (provided != MPI_THREAD_MULTIPLE) throw Error("this MPI library gives no MPI_THREAD_MULTIPLE, which is required");
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &world_size_);
}

MpiEnvironment::~MpiEnvironment() {
  progress_.reset();
  MPI_Finalize();
}

std::unique_ptr<Communicator> MpiEnvironment::make_group(const std::string& name, const std::vector<int>& world_ranks) {
  const int rank = rank_among(world_ranks);
  MPI_Comm raw = MPI_COMM_NULL;
  detail::require_mpi(MPI_Comm_split(MPI_COMM_WORLD, world_ranks.front(), rank, &raw), "MPI_Comm_split", name);
  return std::make_unique<detail::MpiCommunicator>(detail::MpiGroupHandle(raw), name, rank,
                                                   static_cast<int>(world_ranks.size()), *progress_);
}

bool MpiEnvironment::is_running() {
  int is_started = 0;
  int is_ended = 0;
  MPI_Initialized(&is_started);
  MPI_Finalized(&is_ended);
  return is_started != 0 && is_ended == 0;
}

void MpiEnvironment::abort_job(ExitCode code) {
  MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  std::abort();  // MPI_Abort does not return; this tells the compiler so
}

}  // namespace collimate
