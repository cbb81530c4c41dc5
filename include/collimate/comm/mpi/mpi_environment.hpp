#pragma once
// The scope of MPI in a process: made once by the program, before any group and outliving all of them.

#include <memory>

#include "collimate/base/error.hpp"
#include "collimate/comm/group_factory.hpp"

namespace collimate {

namespace detail {
class MpiProgress;
}

/// Initializes MPI with full thread support and finalizes it. *Collective*, like the calls it stands for. Makes the
/// groups of the `mpi` backend.
class MpiEnvironment final : public GroupFactory {
 public:
  /// Throws Error when the library gives less than MPI_THREAD_MULTIPLE.
  MpiEnvironment();
  ~MpiEnvironment() override;

  [[nodiscard]] int world_rank() const override { return world_rank_; }
  [[nodiscard]] int world_size() const override { return world_size_; }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override;

  /// *Local.* Whether MPI has been started and not yet ended: before and after that it can end no job.
  [[nodiscard]] static bool is_running();
  /// *Local.* Ends the whole job at once, whatever the other ranks wait for.
  [[noreturn]] static void abort_job(ExitCode code);

 private:
  std::unique_ptr<detail::MpiProgress> progress_;
  int world_rank_ = 0;
  int world_size_ = 1;
};

}  // namespace collimate
