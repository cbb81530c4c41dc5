#pragma once
// The store of keys and values that a job's failures and heartbeats travel through: TCP, so that it works while MPI is
// blocked. Only the job's own ranks can read or write it.

#include <memory>
#include <optional>
#include <string>

#include "collimate/comm/communicator.hpp"

namespace collimate {

namespace detail {
class KeyValues;
}

/// One store for the whole job, which lives on rank 0; every other rank has one connection to it. Whoever uses it must
/// not outlive it. In a world of one it has no port.
///
/// Every message shows that its sender knows a key that rank 0 has drawn for this job and that has travelled over MPI.
class JobStore {
 public:
  /// *Collective.* `interface` is RuntimeConfig::interface: the network that the store is on. Unset: the loopback where
  /// all ranks are on one machine, else that of rank 0's host name. Throws InputError, agreed on, for an interface that
  /// a rank does not have and for too few file descriptors; Error when no port can be opened or reached.
  explicit JobStore(Communicator& world, const std::optional<std::string>& interface = std::nullopt);
  /// Closes, unless an exception unwinds.
  ~JobStore();
  JobStore(const JobStore&) = delete;
  JobStore& operator=(const JobStore&) = delete;

  /// *Collective.* Returns when every rank has come here, or after an hour; further calls return at once. After it the
  /// job's end is quiet: no rank fails any more. So no rank enters MPI_Finalize while another may still fail: Open
  /// MPI's launcher can hang when a job is aborted then.
  void close();

  /// *Local.* This rank's numeric address on the job's network.
  [[nodiscard]] const std::string& own_address() const noexcept;
  /// For the channels and the backends.
  [[nodiscard]] detail::KeyValues& values() const noexcept;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
