#include "mpi_communicator.hpp"

#include <algorithm>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "mpi_call.hpp"

namespace collimate::detail {

namespace {

// Bounds the exchange buffer of a reduction, whatever the tensor's size, and keeps every count an int.
constexpr std::size_t kBlockElements = std::size_t{1} << 22U;
constexpr std::size_t kBlockBytes = std::size_t{1} << 30U;

template <class Element>
MPI_Datatype mpi_type();
template <>
MPI_Datatype mpi_type<float>() {
  return MPI_FLOAT;
}
template <>
MPI_Datatype mpi_type<double>() {
  return MPI_DOUBLE;
}
template <>
MPI_Datatype mpi_type<std::int64_t>() {
  return MPI_INT64_T;
}

template <class Element>
void combine(std::span<Element> into, std::span<const Element> other, ReduceOp op) {
  for (std::size_t i = 0; i < into.size(); ++i) {
    into[i] = op == ReduceOp::kSum ? into[i] + other[i] : std::max(into[i], other[i]);
  }
}

}  // namespace

MpiCommunicator::MpiCommunicator(MpiGroupHandle group, std::string name)
    : group_(std::move(group)), name_(std::move(name)) {
  require_mpi(MPI_Comm_rank(group_.get(), &rank_), "MPI_Comm_rank", name_);
  require_mpi(MPI_Comm_size(group_.get(), &size_), "MPI_Comm_size", name_);
}

void MpiCommunicator::all_reduce(at::Tensor& tensor, ReduceOp op) {
  if (size_ == 1) return;
  check(tensor.is_contiguous() && tensor.is_cpu(), "all_reduce takes a contiguous CPU tensor");
  const auto elements = static_cast<std::size_t>(tensor.numel());
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return reduce_values(std::span(tensor.data_ptr<float>(), elements), op);
    case at::kDouble:
      return reduce_values(std::span(tensor.data_ptr<double>(), elements), op);
    case at::kLong:
      return reduce_values(std::span(tensor.data_ptr<std::int64_t>(), elements), op);
    default:
      throw Error(fmt::format("all_reduce on group '{}' has no {} tensors", name_, toString(tensor.scalar_type())));
  }
}

template <class Element>
void MpiCommunicator::reduce_values(std::span<Element> values, ReduceOp op) {
  for (std::size_t begin = 0; begin < values.size(); begin += kBlockElements) {
    reduce_block(values.subspan(begin, std::min(kBlockElements, values.size() - begin)), op);
  }
}

// A reduce-scatter in rank order (each rank receives everyone's values of its own range and adds them up from rank 0
// on), then an all-gather of the ranges. MPI_Allreduce would leave the order of summation to the library.
template <class Element>
void MpiCommunicator::reduce_block(std::span<Element> block, ReduceOp op) {
  const auto ranks = static_cast<std::size_t>(size_);
  const std::size_t range = (block.size() + ranks - 1) / ranks;
  std::vector<Element> padded(range * ranks);
  std::copy(block.begin(), block.end(), padded.begin());
  std::vector<Element> received(range * ranks);
  const int count = static_cast<int>(range);
  require_mpi(MPI_Alltoall(padded.data(), count, mpi_type<Element>(), received.data(), count, mpi_type<Element>(),
                           group_.get()),
              "MPI_Alltoall", name_);
  const std::span<Element> own(received.data(), range);
  for (std::size_t other = 1; other < ranks; ++other) {
    combine(own, std::span<const Element>(received.data() + other * range, range), op);
  }
  require_mpi(
      MPI_Allgather(own.data(), count, mpi_type<Element>(), padded.data(), count, mpi_type<Element>(), group_.get()),
      "MPI_Allgather", name_);
  std::copy_n(padded.begin(), block.size(), block.begin());
}

void MpiCommunicator::broadcast_bytes(std::string& bytes, int root) {
  std::uint64_t length = bytes.size();
  require_mpi(MPI_Bcast(&length, 1, MPI_UINT64_T, root, group_.get()), "MPI_Bcast", name_);
  bytes.resize(length);
  for (std::size_t begin = 0; begin < length; begin += kBlockBytes) {
    const int count = static_cast<int>(std::min<std::size_t>(kBlockBytes, length - begin));
    require_mpi(MPI_Bcast(bytes.data() + begin, count, MPI_CHAR, root, group_.get()), "MPI_Bcast", name_);
  }
}

std::vector<std::string> MpiCommunicator::all_gather_bytes(const std::string& bytes) {
  std::vector<std::string> all(static_cast<std::size_t>(size_));
  all.at(static_cast<std::size_t>(rank_)) = bytes;
  if (size_ == 1) return all;
  for (int root = 0; root < size_; ++root) broadcast_bytes(all.at(static_cast<std::size_t>(root)), root);
  return all;
}

void MpiCommunicator::barrier() { require_mpi(MPI_Barrier(group_.get()), "MPI_Barrier", name_); }

}  // namespace collimate::detail
