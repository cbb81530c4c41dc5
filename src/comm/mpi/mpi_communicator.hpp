#pragma once
// The `mpi` backend: CPU tensors and control messages over Open MPI.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <mpi.h>

#include "collimate/base/unique_handle.hpp"
#include "collimate/comm/communicator.hpp"

namespace collimate::detail {

struct MpiGroupTraits {
  using Raw = MPI_Comm;
  static Raw null() { return MPI_COMM_NULL; }
  static void close(Raw raw) noexcept { MPI_Comm_free(&raw); }
};
using MpiGroupHandle = UniqueHandle<MpiGroupTraits>;

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiGroupHandle group, std::string name);

  [[nodiscard]] int rank() const override { return rank_; }
  [[nodiscard]] int size() const override { return size_; }
  [[nodiscard]] const std::string& name() const override { return name_; }

  void all_reduce(at::Tensor& tensor, ReduceOp op) override;
  void broadcast_bytes(std::string& bytes, int root) override;
  std::vector<std::string> all_gather_bytes(const std::string& bytes) override;
  void barrier() override;

 private:
  template <class Element>
  void reduce_values(std::span<Element> values, ReduceOp op);
  template <class Element>
  void reduce_block(std::span<Element> block, ReduceOp op);

  MpiGroupHandle group_;
  std::string name_;
  int rank_ = 0;
  int size_ = 1;
};

}  // namespace collimate::detail
