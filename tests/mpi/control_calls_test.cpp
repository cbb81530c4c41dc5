// What steers a job costs the calls of MPI that communicator.hpp says, whatever the number of ranks. MPI lets a program
// put functions of its own before the library's.

#include <atomic>

#include <gtest/gtest.h>
#include <mpi.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "support/mpi_world.hpp"

namespace {

std::atomic<int> num_calls = 0;

}  // namespace

extern "C" {

int MPI_Bcast(void* buffer, int count, MPI_Datatype type, int root, MPI_Comm comm) {
  ++num_calls;
  return PMPI_Bcast(buffer, count, type, root, comm);
}

int MPI_Allgather(const void* own, int own_count, MPI_Datatype own_type, void* all, int count, MPI_Datatype type,
                  MPI_Comm comm) {
  ++num_calls;
  return PMPI_Allgather(own, own_count, own_type, all, count, type, comm);
}

int MPI_Allgatherv(const void* own, int own_count, MPI_Datatype own_type, void* all, const int* counts,
                   const int* places, MPI_Datatype type, MPI_Comm comm) {
  ++num_calls;
  return PMPI_Allgatherv(own, own_count, own_type, all, counts, places, type, comm);
}

int MPI_Allreduce(const void* own, void* all, int count, MPI_Datatype type, MPI_Op op, MPI_Comm comm) {
  ++num_calls;
  return PMPI_Allreduce(own, all, count, type, op, comm);
}

int MPI_Isend(const void* buffer, int count, MPI_Datatype type, int destination, int tag, MPI_Comm comm,
              MPI_Request* request) {
  ++num_calls;
  return PMPI_Isend(buffer, count, type, destination, tag, comm, request);
}

}  // extern "C"

namespace collimate {
namespace {

template <class Part>
int calls_of(const Part& part) {
  const int before = num_calls;
  part();
  return num_calls - before;
}

// Of `calls` in a group of several ranks: one alone has nobody to call.
int expected(const Communicator& group, int calls) { return group.size() == 1 ? 0 : calls; }

TEST(ControlCallsTest, bytes_of_all_ranks_take_an_exchange_of_lengths_and_one_of_bytes) {
  const auto group = make_world_group();
  const std::string own(static_cast<std::size_t>(group->rank()) * 1000 + 1, 'x');
  EXPECT_EQ(calls_of([&] { group->all_gather_bytes(own); }), expected(*group, 2));
  EXPECT_EQ(calls_of([&] { group->all_gather_bytes(""); }), expected(*group, 1));
}

TEST(ControlCallsTest, an_agreement_takes_one_reduction_where_nothing_is_wrong) {
  const auto group = make_world_group();
  EXPECT_EQ(calls_of([&] { run_agreed(*group, [] {}); }), expected(*group, 1));
  const auto fail_on_the_last_rank = [&] {
    if (group->rank() == group->size() - 1) throw InputError("pair 3");
  };
  EXPECT_EQ(calls_of([&] { EXPECT_THROW(run_agreed(*group, fail_on_the_last_rank), AgreedError); }),
            expected(*group, 3));
}

TEST(ControlCallsTest, bytes_that_one_exchange_does_not_hold_go_in_several) {
  const auto group = make_world_group();
  const auto text_of = [](int rank) {
    return std::string((std::size_t{rank == 0 ? 70U : 1U}) << 20U, static_cast<char>('a' + rank));
  };
  const std::vector<std::string> all = group->all_gather_bytes(text_of(group->rank()));
  for (int rank = 0; rank < group->size(); ++rank) {
    EXPECT_TRUE(all[static_cast<std::size_t>(rank)] == text_of(rank)) << rank;
  }
}

}  // namespace
}  // namespace collimate
