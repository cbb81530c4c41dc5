#pragma once
// File descriptors of rank 0, which all other ranks connect to: Linux gives a process 1024 unless it asks for more.

#include <cstdint>

namespace collimate::detail {

/// What rank 0 of `world_size` ranks needs beyond those that are open: for each other rank a connection of the job's
/// store, one of MPI and one of the library that carries tensors; strangers' connections; files. Pure.
std::int64_t descriptors_needed(int world_size);

/// *Local.* Raises this process's limit to what it needs beside the open ones. Throws InputError when the system does
/// not allow that.
void require_descriptors(int world_size);

}  // namespace collimate::detail
