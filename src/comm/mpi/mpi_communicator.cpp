#include "mpi_communicator.hpp"

#include <algorithm>

#include <ATen/core/Tensor.h>

#include "collimate/base/error.hpp"
#include "collimate/base/shard_range.hpp"
#include "mpi_call.hpp"
#include "mpi_messages.hpp"
#include "ordered_reduce.hpp"

namespace collimate::detail {

namespace {

// Of all ranks' bytes together, in one exchange of all_gather_bytes: each rank of a machine has room for as many beside
// the result.
constexpr std::size_t kGatheredBytes = std::size_t{4} << 20U;

void require_cpu(const at::Tensor& tensor) { check(tensor.is_cpu(), "the mpi backend takes CPU tensors"); }

std::byte* bytes_of(at::Tensor& tensor) {
  require_cpu(tensor);
  return static_cast<std::byte*>(tensor.data_ptr());
}
const std::byte* bytes_of(const at::Tensor& tensor) {
  require_cpu(tensor);
  return static_cast<const std::byte*>(tensor.const_data_ptr());
}
std::size_t num_bytes_of(const at::Tensor& tensor) {
  return static_cast<std::size_t>(tensor.numel()) * tensor.element_size();
}

// Sends own bytes [begin, begin + length) of `whole` to all and receives everyone's.
void exchange_ranges(const MpiGroup& group, at::Tensor& whole, const std::vector<ShardRange>& byte_ranges) {
  MpiMessages messages(group, MessageTag::kCollective);
  const auto at_rank = [&](int rank) { return byte_ranges.at(static_cast<std::size_t>(rank)); };
  std::byte* const bytes = bytes_of(whole);
  for (int rank = 0; rank < group.size; ++rank) {
    const ShardRange range = at_rank(rank);
    if (rank != group.rank) messages.receive(bytes + range.begin, static_cast<std::size_t>(range.length), rank);
  }
  const ShardRange own = at_rank(group.rank);
  for (int rank = 0; rank < group.size; ++rank) {
    if (rank != group.rank) messages.send(bytes + own.begin, static_cast<std::size_t>(own.length), rank);
  }
  messages.wait();
}

// Everyone's `part`, in rank order, into `whole`, of which it may be a view.
void gather_parts(const MpiGroup& group, at::Tensor& whole, const at::Tensor& part) {
  const auto part_bytes = static_cast<std::int64_t>(num_bytes_of(part));
  std::byte* const own = bytes_of(whole) + group.rank * part_bytes;
  if (own != bytes_of(part)) std::copy_n(bytes_of(part), part_bytes, own);
  std::vector<ShardRange> byte_ranges;
  for (int rank = 0; rank < group.size; ++rank) {
    byte_ranges.push_back({.begin = rank * part_bytes, .length = part_bytes});
  }
  exchange_ranges(group, whole, byte_ranges);
}

void broadcast_pieces(MPI_Comm group, const std::string& name, std::byte* bytes, std::size_t num_bytes, int root) {
  for (std::size_t begin = 0; begin < num_bytes; begin += kPieceBytes) {
    const int count = static_cast<int>(std::min(kPieceBytes, num_bytes - begin));
    require_mpi(MPI_Bcast(bytes + begin, count, MPI_BYTE, root, group), "MPI_Bcast", name);
  }
}

std::vector<std::size_t> gather_lengths(const MpiGroup& group, std::size_t own) {
  static_assert(sizeof(std::size_t) == sizeof(std::uint64_t));
  std::vector<std::size_t> lengths(static_cast<std::size_t>(group.size));
  require_mpi(MPI_Allgather(&own, 1, MPI_UINT64_T, lengths.data(), 1, MPI_UINT64_T, group.comm), "MPI_Allgather",
              group.name);
  return lengths;
}

struct Slice {
  std::size_t begin;
  std::size_t most_bytes;

  [[nodiscard]] int bytes_of(std::size_t length) const {
    return static_cast<int>(std::min(length - std::min(begin, length), most_bytes));
  }
};

// Adds the slice of every rank's bytes to those of `all`.
void gather_slices(const MpiGroup& group, const std::string& own, const std::vector<std::size_t>& lengths,
                   const Slice& slice, std::vector<std::string>& all) {
  std::vector<int> counts;
  std::vector<int> places;
  int total = 0;
  for (const std::size_t length : lengths) {
    places.push_back(total);
    counts.push_back(slice.bytes_of(length));
    total += counts.back();
  }
  std::string together(static_cast<std::size_t>(total), '\0');
  require_mpi(MPI_Allgatherv(own.data() + std::min(slice.begin, own.size()), slice.bytes_of(own.size()), MPI_BYTE,
                             together.data(), counts.data(), places.data(), MPI_BYTE, group.comm),
              "MPI_Allgatherv", group.name);
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    all[rank].append(together, static_cast<std::size_t>(places[rank]), static_cast<std::size_t>(counts[rank]));
  }
}

}  // namespace

MpiCommunicator::MpiCommunicator(MpiGroupHandle group, std::string name, int rank, int size, MpiProgress& progress)
    : Communicator(std::move(name), rank, size), group_(std::move(group)), progress_(&progress) {}

MpiGroup MpiCommunicator::group() const {
  return {.comm = group_.get(), .name = name(), .rank = rank(), .size = size()};
}

MpiGroup MpiCommunicator::idle_group() {
  queue_.wait_until_idle();
  return group();
}

// A reduce-scatter into the own range, then an all-gather of the ranges.
void MpiCommunicator::do_all_reduce(at::Tensor& tensor, ReduceOp op) {
  require_cpu(tensor);
  const MpiGroup group = idle_group();
  std::vector<ShardRange> byte_ranges;
  const auto element_bytes = static_cast<std::int64_t>(tensor.element_size());
  for (int other = 0; other < size(); ++other) {
    const ShardRange range = shard_range(tensor.numel(), size(), other);
    byte_ranges.push_back({.begin = range.begin * element_bytes, .length = range.length * element_bytes});
  }
  const ShardRange own = shard_range(tensor.numel(), size(), rank());
  at::Tensor part = tensor.view({-1}).narrow(0, own.begin, own.length);
  reduce_own_range(group, tensor, part, op);
  exchange_ranges(group, tensor, byte_ranges);
}

void MpiCommunicator::do_reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  require_cpu(input);
  reduce_own_range(idle_group(), input, output, ReduceOp::kSum);
}

void MpiCommunicator::do_all_gather(at::Tensor& output, const at::Tensor& input) {
  gather_parts(idle_group(), output, input);
}

WorkHandle MpiCommunicator::do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  require_cpu(input);
  return queue_.start([group = group(), output, input](const std::stop_token& stop) mutable {
    group.background = &stop;
    reduce_own_range(group, input, output, ReduceOp::kSum);
  });
}

WorkHandle MpiCommunicator::do_start_all_gather(at::Tensor& output, const at::Tensor& input) {
  return queue_.start([group = group(), output, input](const std::stop_token& stop) mutable {
    group.background = &stop;
    gather_parts(group, output, input);
  });
}

void MpiCommunicator::do_broadcast(at::Tensor& tensor, int root) {
  broadcast_pieces(idle_group().comm, name(), bytes_of(tensor), num_bytes_of(tensor), root);
}

WorkHandle MpiCommunicator::do_start_send(const at::Tensor& tensor, int destination) {
  auto messages = std::make_unique<MpiMessages>(group(), MessageTag::kPointToPoint, progress_->hold());
  messages->send(bytes_of(tensor), num_bytes_of(tensor), destination);
  return messages;
}

WorkHandle MpiCommunicator::do_start_receive(at::Tensor& tensor, int source) {
  auto messages = std::make_unique<MpiMessages>(group(), MessageTag::kPointToPoint, progress_->hold());
  messages->receive(bytes_of(tensor), num_bytes_of(tensor), source);
  return messages;
}

void MpiCommunicator::do_broadcast_bytes(std::string& bytes, int root) {
  const MPI_Comm group = idle_group().comm;
  std::uint64_t length = bytes.size();
  require_mpi(MPI_Bcast(&length, 1, MPI_UINT64_T, root, group), "MPI_Bcast", name());
  bytes.resize(length);
  broadcast_pieces(group, name(), reinterpret_cast<std::byte*>(bytes.data()), length, root);
}

std::vector<std::string> MpiCommunicator::do_all_gather_bytes(const std::string& bytes) {
  const MpiGroup group = idle_group();
  const std::vector<std::size_t> lengths = gather_lengths(group, bytes.size());
  const std::size_t longest = *std::ranges::max_element(lengths);
  const std::size_t most = std::max<std::size_t>(1, kGatheredBytes / lengths.size());
  std::vector<std::string> all(lengths.size());
  for (std::size_t rank = 0; rank < all.size(); ++rank) all[rank].reserve(lengths[rank]);
  for (std::size_t begin = 0; begin < longest; begin += most) gather_slices(group, bytes, lengths, {begin, most}, all);
  return all;
}

bool MpiCommunicator::do_all_hold(bool holds) {
  int all = holds ? 1 : 0;
  require_mpi(MPI_Allreduce(MPI_IN_PLACE, &all, 1, MPI_INT, MPI_MIN, idle_group().comm), "MPI_Allreduce", name());
  return all != 0;
}

void MpiCommunicator::do_barrier() { require_mpi(MPI_Barrier(idle_group().comm), "MPI_Barrier", name()); }

}  // namespace collimate::detail
