#pragma once
// The `mpi` backend: CPU tensors and control messages over Open MPI.

#include <string>
#include <vector>

#include <mpi.h>

#include "collimate/base/unique_handle.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/comm/operation_queue.hpp"
#include "mpi_group.hpp"
#include "mpi_progress.hpp"

namespace collimate::detail {

struct MpiGroupTraits {
  using Raw = MPI_Comm;
  static Raw null() { return MPI_COMM_NULL; }
  static void close(Raw raw) noexcept { MPI_Comm_free(&raw); }
};
using MpiGroupHandle = UniqueHandle<MpiGroupTraits>;

class MpiCommunicator final : public Communicator {
 public:
  /// `progress` must outlive the messages.
  MpiCommunicator(MpiGroupHandle group, std::string name, int rank, int size, MpiProgress& progress);

 private:
  void do_all_reduce(at::Tensor& tensor, ReduceOp op) override;
  void do_reduce_scatter(at::Tensor& output, const at::Tensor& input) override;
  void do_all_gather(at::Tensor& output, const at::Tensor& input) override;
  WorkHandle do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) override;
  WorkHandle do_start_all_gather(at::Tensor& output, const at::Tensor& input) override;
  void do_broadcast(at::Tensor& tensor, int root) override;
  WorkHandle do_start_send(const at::Tensor& tensor, int destination) override;
  WorkHandle do_start_receive(at::Tensor& tensor, int source) override;
  void do_broadcast_bytes(std::string& bytes, int root) override;
  std::vector<std::string> do_all_gather_bytes(const std::string& bytes) override;
  bool do_all_hold(bool holds) override;
  void do_barrier() override;

  /// The group for an operation that comes now, after all that have been started.
  [[nodiscard]] MpiGroup idle_group();
  [[nodiscard]] MpiGroup group() const;

  MpiGroupHandle group_;
  MpiProgress* progress_;
  OperationQueue queue_;  ///< last: ends before what its operations use
};

}  // namespace collimate::detail
