#pragma once
// The store of keys and values that a job's failures and heartbeats travel through: TCP, so that it works while MPI is
// blocked.

#include <memory>

#include "collimate/comm/communicator.hpp"

namespace collimate {

namespace detail {
class SharedStore;
}

/// One store for the whole job, which lives on rank 0. FailureChannel and HealthChannel share it and must not outlive
/// it. In a world of one it is in process and has no port.
class JobStore {
 public:
  /// *Collective.* Throws Error when no port can be opened or reached.
  explicit JobStore(Communicator& world);
  /// Closes, unless an exception unwinds.
  ~JobStore();
  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  /// *Collective.* Returns when every rank has come here; further calls return at once. After it the job's end is
  /// quiet: no rank fails any more.
  void close();

  /// For the channels.
  [[nodiscard]] detail::SharedStore& shared() const noexcept { return *shared_; }

 private:
  std::unique_ptr<detail::SharedStore> shared_;
};

}  // namespace collimate
