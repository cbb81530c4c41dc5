// Every operation gives what MPI's own call gives, for the same content.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include "conformance/conformance.hpp"
#include "support/backend_factory.hpp"

namespace collimate {
namespace {

constexpr int kElements = 50'003;

MPI_Datatype mpi_type(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat:
      return MPI_FLOAT;
    case at::kDouble:
      return MPI_DOUBLE;
    default:
      return MPI_INT64_T;
  }
}

class PlainMpiTest : public testing::TestWithParam<std::tuple<BackendType, at::ScalarType>> {
 protected:
  PlainMpiTest() : factory_(make_backend_factory(std::get<0>(GetParam()))), group_(factory_->make_world_group()) {}

  [[nodiscard]] static at::ScalarType dtype() { return std::get<1>(GetParam()); }
  [[nodiscard]] static MPI_Datatype type() { return mpi_type(dtype()); }
  // Whole numbers: exact in every order of a sum.
  [[nodiscard]] at::Tensor own(std::int64_t elements = kElements) const {
    return conformance::ramp(dtype(), elements, 3 * group_->rank()) * (group_->rank() + 1);
  }

  std::unique_ptr<GroupFactory> factory_;
  std::unique_ptr<Communicator> group_;
};

TEST_P(PlainMpiTest, all_reduce_equals_mpi_allreduce) {
  for (const auto& [op, mpi_op] : {std::pair(ReduceOp::kSum, MPI_SUM), std::pair(ReduceOp::kMax, MPI_MAX)}) {
    at::Tensor ours = own();
    at::Tensor theirs = own();
    group_->all_reduce(ours, op);
    MPI_Allreduce(MPI_IN_PLACE, theirs.data_ptr(), kElements, type(), mpi_op, MPI_COMM_WORLD);
    EXPECT_TRUE(at::equal(ours, theirs));
  }
}

TEST_P(PlainMpiTest, reduce_scatter_equals_mpi_reduce_scatter_block) {
  const at::Tensor input = own(std::int64_t{kElements} * group_->size());
  at::Tensor ours = at::zeros({kElements}, dtype());
  at::Tensor theirs = at::zeros({kElements}, dtype());
  group_->reduce_scatter(ours, input);
  MPI_Reduce_scatter_block(input.const_data_ptr(), theirs.data_ptr(), kElements, type(), MPI_SUM, MPI_COMM_WORLD);
  EXPECT_TRUE(at::equal(ours, theirs));
}

TEST_P(PlainMpiTest, all_gather_equals_mpi_allgather) {
  const at::Tensor input = own();
  at::Tensor ours = at::zeros({std::int64_t{kElements} * group_->size()}, dtype());
  at::Tensor theirs = at::zeros_like(ours);
  group_->all_gather(ours, input);
  MPI_Allgather(input.const_data_ptr(), kElements, type(), theirs.data_ptr(), kElements, type(), MPI_COMM_WORLD);
  EXPECT_TRUE(at::equal(ours, theirs));
}

TEST_P(PlainMpiTest, broadcast_equals_mpi_bcast) {
  const int root = group_->size() - 1;
  at::Tensor ours = own();
  at::Tensor theirs = own();
  group_->broadcast(ours, root);
  MPI_Bcast(theirs.data_ptr(), kElements, type(), root, MPI_COMM_WORLD);
  EXPECT_TRUE(at::equal(ours, theirs));
}

TEST_P(PlainMpiTest, messages_equal_mpi_sendrecv) {
  if (group_->size() == 1) return;  // nobody to send to
  const int next = (group_->rank() + 1) % group_->size();
  const int previous = (group_->rank() + group_->size() - 1) % group_->size();
  const at::Tensor sent = own();
  at::Tensor ours = at::zeros_like(sent);
  at::Tensor theirs = at::zeros_like(sent);
  const WorkHandle send = group_->start_send(sent, next);
  group_->start_receive(ours, previous)->wait();
  send->wait();
  MPI_Sendrecv(sent.const_data_ptr(), kElements, type(), next, 0, theirs.data_ptr(), kElements, type(), previous, 0,
               MPI_COMM_WORLD, MPI_STATUS_IGNORE);
  EXPECT_TRUE(at::equal(ours, theirs));
}

INSTANTIATE_TEST_SUITE_P(BackendsAndDtypes, PlainMpiTest,
                         testing::Combine(testing::ValuesIn(kProcessBackends),
                                          testing::Values(at::kFloat, at::kDouble, at::kLong)));

}  // namespace
}  // namespace collimate
