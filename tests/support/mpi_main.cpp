// main of every MPI test: fails when the rank count is not the registered one, keeps all printers but rank 0's quiet when all
// is well, and agrees on one verdict.

#include <gtest/gtest.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

int expected_ranks(int argc, char** argv) {
  constexpr const char* kFlag = "--expected-ranks=";
  for (int i = 1; i < argc; ++i) {
    if (std::strncmp(argv[i], kFlag, std::strlen(kFlag)) == 0) return std::atoi(argv[i] + std::strlen(kFlag));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int provided = MPI_THREAD_SINGLE;
  MPI_Init_thread(&argc, &argv, MPI_THREAD_MULTIPLE, &provided);
  testing::InitGoogleTest(&argc, argv);
  int world_size = 0;
  int world_rank = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &world_size);
  MPI_Comm_rank(MPI_COMM_WORLD, &world_rank);
  if (world_size != expected_ranks(argc, argv) || provided != MPI_THREAD_MULTIPLE) {
    std::fprintf(stderr, "this test was registered for %d ranks with threads and runs on %d\n",
                 expected_ranks(argc, argv), world_size);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  if (world_rank != 0) {
    // Failures are still printed: only the progress lines of the default printer go.
    testing::GTEST_FLAG(brief) = true;
  }
  int verdict = RUN_ALL_TESTS();
  MPI_Allreduce(MPI_IN_PLACE, &verdict, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  MPI_Finalize();
  return verdict;
}
