// main of every MPI test: fails when the rank count is not the registered one, keeps the progress lines to rank 0, and
// agrees on one verdict.

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>
#include <malloc.h>
#include <mpi.h>

#include "collimate/base/end_process.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "support/mpi_world.hpp"

namespace {

collimate::MpiEnvironment* the_environment = nullptr;

std::vector<std::string> the_arguments;

int expected_ranks(int argc, char** argv) {
  constexpr std::string_view kFlag = "--expected-ranks=";
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]).starts_with(kFlag)) return std::atoi(argv[i] + kFlag.size());
  }
  return 0;
}

}  // namespace

std::unique_ptr<collimate::Communicator> collimate::make_world_group() { return the_environment->make_world_group(); }

collimate::MpiEnvironment& collimate::environment() { return *the_environment; }

bool collimate::has_flag(const std::string& flag) {
  return std::ranges::find(the_arguments, flag) != the_arguments.end();
}

namespace {

// Tensors of megabytes come and go: fresh pages from the kernel for each would be most of what such a test takes.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, INT_MAX);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

int run(int argc, char** argv) {
  collimate::MpiEnvironment environment;
  the_environment = &environment;
  testing::InitGoogleTest(&argc, argv);
  the_arguments.assign(argv, argv + argc);
  if (environment.world_size() != expected_ranks(argc, argv)) {
    std::fprintf(stderr, "this test was registered for %d ranks and runs on %d\n", expected_ranks(argc, argv),
                 environment.world_size());
    collimate::MpiEnvironment::abort_job(collimate::ExitCode::kFailure);
  }
  // Failures are still printed everywhere: only the progress lines go.
  if (environment.world_rank() != 0) testing::GTEST_FLAG(brief) = true;
  int verdict = RUN_ALL_TESTS();
  MPI_Allreduce(MPI_IN_PLACE, &verdict, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  return verdict;
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  collimate::end_finished_process(run(argc, argv));
}
