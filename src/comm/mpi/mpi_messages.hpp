#pragma once
// Non-blocking messages of any length between two ranks, and the set of those under way.

#include <cstddef>
#include <string>
#include <vector>

#include <mpi.h>

#include "collimate/comm/work.hpp"
#include "mpi_group.hpp"
#include "mpi_progress.hpp"

namespace collimate::detail {

/// What goes in one call of MPI, which counts in int.
inline constexpr std::size_t kPieceBytes = std::size_t{1} << 30U;

/// MPI keeps messages of one tag in order, and apart from those of another.
enum class MessageTag { kPointToPoint = 0, kCollective = 1 };

/// Messages of one group that have been started together. A message of more bytes than an int counts goes in pieces.
/// Not owned: the group and the buffers.
class MpiMessages final : public Work {
 public:
  /// `held` lets them move on while the rank computes; not needed by one that waits at once.
  MpiMessages(const MpiGroup& group, MessageTag tag, MpiHold held = {})
      : group_(group.comm), group_name_(group.name), background_(group.background), tag_(tag), held_(std::move(held)) {}

  void send(const std::byte* bytes, std::size_t num_bytes, int destination);
  void receive(std::byte* bytes, std::size_t num_bytes, int source);
  [[nodiscard]] bool is_done() override;
  void wait() override;

 private:
  void look_until_done();

  MPI_Comm group_;
  std::string group_name_;
  const std::stop_token* background_;
  MessageTag tag_;
  std::vector<MPI_Request> requests_;
  MpiHold held_;
};

}  // namespace collimate::detail
