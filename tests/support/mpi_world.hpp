#pragma once
// A group over all ranks for MPI tests, whose main (mpi_main.cpp) owns MPI itself.

#include <memory>
#include <string>

#include "collimate/comm/communicator.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"

namespace collimate {

/// *Collective.* A fresh group of every rank of the test.
std::unique_ptr<Communicator> make_world_group();

/// The test program's MPI, for parts that make their own groups.
MpiEnvironment& environment();

/// Whether the test program was started with `flag`.
bool has_flag(const std::string& flag);

}  // namespace collimate
