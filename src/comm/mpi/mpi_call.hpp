#pragma once
// Every MPI return code goes through here.

#include <string_view>

#include <mpi.h>

namespace collimate::detail {

/// Throws Error naming the call, the group and MPI's own text unless `code` is MPI_SUCCESS.
void require_mpi(int code, std::string_view call, std::string_view group);

}  // namespace collimate::detail
