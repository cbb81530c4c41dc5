#pragma once
// The scope of MPI in a process: made once by the program, before any group and outliving all of them.

#include <memory>

#include "collimate/base/error.hpp"
#include "collimate/comm/communicator.hpp"

namespace collimate {

/// Initializes MPI with full thread support and finalizes it. *Collective*, like the calls it stands for.
class MpiEnvironment {
 public:
  /// Throws Error when the library gives less than MPI_THREAD_MULTIPLE.
  MpiEnvironment();
  ~MpiEnvironment();
  MpiEnvironment(const MpiEnvironment&) = delete;
  MpiEnvironment& operator=(const MpiEnvironment&) = delete;

  [[nodiscard]] int world_rank() const noexcept { return world_rank_; }
  [[nodiscard]] int world_size() const noexcept { return world_size_; }

  /// *Collective.* A group of all ranks with a message space of its own. `name` is its mesh axis.
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const char* name) const;

  /// *Local.* Ends the whole job at once, whatever the other ranks wait for.
  [[noreturn]] static void abort_job(ExitCode code);

 private:
  int world_rank_ = 0;
  int world_size_ = 1;
};

}  // namespace collimate
