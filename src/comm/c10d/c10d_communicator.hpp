#pragma once
// The backends of libtorch's c10d, Gloo and NCCL, as a Communicator.

#include <memory>
#include <string>
#include <vector>

#include <c10/core/Device.h>
#include <torch/csrc/distributed/c10d/Backend.hpp>

#include "collimate/comm/communicator.hpp"

namespace collimate::detail {

using C10dBackend = c10::intrusive_ptr<c10d::Backend>;

/// The connections of one group; null in a group of one.
struct C10dLinks {
  C10dBackend up;    ///< collectives, and messages to higher ranks
  C10dBackend down;  ///< messages to lower ranks: NCCL plays those of one backend between two ranks one after the
                     ///< other, and two that cross would wait for each other for ever
  /// The same ranks, for bytes. Null: `up` carries them in CPU tensors (Gloo).
  std::unique_ptr<Communicator> control;
};

/// Sums run in an order of the library's; those of bfloat16 on a CPU in float32.
class C10dCommunicator final : public Communicator {
 public:
  C10dCommunicator(std::string name, int rank, int size, at::Device device, C10dLinks links);

 private:
  void do_all_reduce(at::Tensor& tensor, ReduceOp op) override;
  void do_reduce_scatter(at::Tensor& output, const at::Tensor& input) override;
  void do_all_gather(at::Tensor& output, const at::Tensor& input) override;
  WorkHandle do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) override;
  WorkHandle do_start_all_gather(at::Tensor& output, const at::Tensor& input) override;
  void do_broadcast(at::Tensor& tensor, int root) override;
  WorkHandle do_start_send(const at::Tensor& tensor, int destination) override;
  WorkHandle do_start_receive(at::Tensor& tensor, int source) override;
  void do_connect_neighbours() override;
  void do_broadcast_bytes(std::string& bytes, int root) override;
  std::vector<std::string> do_all_gather_bytes(const std::string& bytes) override;
  bool do_all_hold(bool holds) override;
  void do_barrier() override;

  /// Starts an operation and waits for it. There is none on an empty tensor.
  template <class Begin>
  void run(const char* call, const at::Tensor& tensor, const Begin& begin) const;
  /// The work keeps the tensors alive. Where the first one is empty there is nothing to do.
  template <class Begin>
  WorkHandle start(const char* call, std::vector<at::Tensor> tensors, const Begin& begin) const;
  [[nodiscard]] bool sums_wide(const at::Tensor& tensor) const;
  void exchange_with(int peer, bool sends_first);

  std::string where_;  ///< for messages: "group 'data'"
  at::Device device_;
  C10dLinks links_;
};

}  // namespace collimate::detail
