#include "collimate/comm/solo.hpp"

#include <ATen/core/Tensor.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// A group of one never asks its backend for anything.
class SoloCommunicator final : public Communicator {
 public:
  explicit SoloCommunicator(std::string name) : Communicator(std::move(name), 0, 1) {}

 private:
  [[noreturn]] static void refuse() { throw InvariantError("a group of one has nobody to talk to"); }

  void do_all_reduce(at::Tensor& /*tensor*/, ReduceOp /*op*/) override { refuse(); }
  void do_reduce_scatter(at::Tensor& /*output*/, const at::Tensor& /*input*/) override { refuse(); }
  void do_all_gather(at::Tensor& /*output*/, const at::Tensor& /*input*/) override { refuse(); }
  WorkHandle do_start_reduce_scatter(at::Tensor& /*output*/, const at::Tensor& /*input*/) override { refuse(); }
  WorkHandle do_start_all_gather(at::Tensor& /*output*/, const at::Tensor& /*input*/) override { refuse(); }
  void do_broadcast(at::Tensor& /*tensor*/, int /*root*/) override { refuse(); }
  WorkHandle do_start_send(const at::Tensor& /*tensor*/, int /*destination*/) override { refuse(); }
  WorkHandle do_start_receive(at::Tensor& /*tensor*/, int /*source*/) override { refuse(); }
  void do_broadcast_bytes(std::string& /*bytes*/, int /*root*/) override { refuse(); }
  std::vector<std::string> do_all_gather_bytes(const std::string& /*bytes*/) override { refuse(); }
  bool do_all_hold(bool /*holds*/) override { refuse(); }
  void do_barrier() override { refuse(); }
};

}  // namespace

std::unique_ptr<Communicator> SoloFactory::make_group(const std::string& name, const std::vector<int>& world_ranks) {
  check(world_ranks == std::vector<int>{0}, "a job of one rank has groups of one");
  return std::make_unique<SoloCommunicator>(name);
}

}  // namespace collimate
