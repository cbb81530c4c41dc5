#pragma once
// What an operation of the `mpi` backend needs to know of its group.

#include <stop_token>
#include <string>

#include <mpi.h>

namespace collimate::detail {

/// Not owned: the name. An operation of a thread beside the one that computes looks for its messages now and then,
/// where any other waits in MPI, which takes all of a core; and it gives up at a request.
struct MpiGroup {
  MPI_Comm comm = MPI_COMM_NULL;
  const std::string& name;
  int rank = 0;
  int size = 1;
  const std::stop_token* background = nullptr;  ///< of that thread; null: the operation is waited for
};

}  // namespace collimate::detail
