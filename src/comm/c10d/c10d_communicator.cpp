#include "c10d_communicator.hpp"

#include <algorithm>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>

#include "c10d_call.hpp"

namespace collimate::detail {

namespace {

// One operation under way, and the tensors that it needs until then.
class C10dWork final : public Work {
 public:
  C10dWork(c10::intrusive_ptr<c10d::Work> work, std::vector<at::Tensor> tensors, const char* call, std::string where)
      : work_(std::move(work)), tensors_(std::move(tensors)), call_(call), where_(std::move(where)) {}

  // Gloo says so only once it has been waited for.
  [[nodiscard]] bool is_done() override { return !work_ || work_->isCompleted(); }

  void wait() override {
    const auto work = std::exchange(work_, nullptr);  // c10d's own wait may be called once
    if (work) call_c10d(call_, where_, [&] { check(work->wait(), "an operation that is waited for is not given up"); });
    tensors_.clear();
  }

 private:
  c10::intrusive_ptr<c10d::Work> work_;
  std::vector<at::Tensor> tensors_;
  const char* call_;
  std::string where_;
};

at::Tensor flat(const at::Tensor& tensor) { return tensor.view({-1}); }
// For operations that only carry: every dtype at once, also one that the library does not know.
at::Tensor as_bytes(const at::Tensor& tensor) { return flat(tensor).view(at::kByte); }

at::Tensor bytes_tensor(std::string& bytes) {
  return at::from_blob(bytes.data(), {static_cast<std::int64_t>(bytes.size())}, at::kByte);
}

}  // namespace

C10dCommunicator::C10dCommunicator(std::string name, int rank, int size, at::Device device, C10dLinks links)
    : Communicator(std::move(name), rank, size),
      where_(fmt::format("group '{}'", Communicator::name())),
      device_(device),
      links_(std::move(links)) {}

template <class Begin>
WorkHandle C10dCommunicator::start(const char* call, std::vector<at::Tensor> tensors, const Begin& begin) const {
  check(tensors.front().device() == device_, "a communicator takes tensors of its device");
  c10::intrusive_ptr<c10d::Work> work;
  if (tensors.front().numel() > 0) work = call_c10d(call, where_, begin);
  return std::make_unique<C10dWork>(std::move(work), std::move(tensors), call, where_);
}

template <class Begin>
void C10dCommunicator::run(const char* call, const at::Tensor& tensor, const Begin& begin) const {
  start(call, {tensor}, begin)->wait();
}

// bfloat16 keeps 8 bits. NCCL adds it as it does elsewhere; Gloo would round after every rank.
bool C10dCommunicator::sums_wide(const at::Tensor& tensor) const {
  return device_.is_cpu() && tensor.scalar_type() == at::kBFloat16;
}

void C10dCommunicator::do_all_reduce(at::Tensor& tensor, ReduceOp op) {
  const bool is_wide = sums_wide(tensor);
  std::vector<at::Tensor> tensors{is_wide ? flat(tensor).to(at::kFloat) : flat(tensor)};
  c10d::AllreduceOptions options;
  options.reduceOp = op == ReduceOp::kSum ? c10d::ReduceOp::SUM : c10d::ReduceOp::MAX;
  run("all_reduce", tensor, [&] { return links_.up->allreduce(tensors, options); });
  if (is_wide) flat(tensor).copy_(tensors.front());
}

// Gloo reduces a copy of the whole and keeps the own part: right, if not quick.
void C10dCommunicator::do_reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  const bool is_wide = sums_wide(input);
  at::Tensor whole = is_wide ? flat(input).to(at::kFloat) : flat(input);
  at::Tensor part = is_wide ? at::empty({output.numel()}, at::kFloat) : flat(output);
  run("reduce_scatter", input, [&] { return links_.up->_reduce_scatter_base(part, whole); });
  if (is_wide) flat(output).copy_(part);
}

void C10dCommunicator::do_all_gather(at::Tensor& output, const at::Tensor& input) {
  at::Tensor whole = as_bytes(output);
  at::Tensor part = as_bytes(input);
  run("all_gather", input, [&] { return links_.up->_allgather_base(whole, part); });
}

WorkHandle C10dCommunicator::do_start_reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  if (sums_wide(input)) {  // its result is rounded afterwards
    do_reduce_scatter(output, input);
    return std::make_unique<DoneWork>();
  }
  at::Tensor whole = flat(input);
  at::Tensor part = flat(output);
  return start("reduce_scatter", {whole, part}, [&] { return links_.up->_reduce_scatter_base(part, whole); });
}

WorkHandle C10dCommunicator::do_start_all_gather(at::Tensor& output, const at::Tensor& input) {
  at::Tensor whole = as_bytes(output);
  at::Tensor part = as_bytes(input);
  return start("all_gather", {whole, part}, [&] { return links_.up->_allgather_base(whole, part); });
}

void C10dCommunicator::do_broadcast(at::Tensor& tensor, int root) {
  std::vector<at::Tensor> tensors{as_bytes(tensor)};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  run("broadcast", tensor, [&] { return links_.up->broadcast(tensors, options); });
}

// Of all messages that c10d keeps apart by tags, those of tag 0 alone are used, so that they stay in order.
WorkHandle C10dCommunicator::do_start_send(const at::Tensor& tensor, int destination) {
  std::vector<at::Tensor> tensors{as_bytes(tensor)};
  const C10dBackend& backend = destination > rank() ? links_.up : links_.down;
  return start("send", tensors, [&] { return backend->send(tensors, destination, 0); });
}

WorkHandle C10dCommunicator::do_start_receive(at::Tensor& tensor, int source) {
  std::vector<at::Tensor> tensors{as_bytes(tensor)};
  const C10dBackend& backend = source < rank() ? links_.up : links_.down;
  return start("receive", tensors, [&] { return backend->recv(tensors, source, 0); });
}

// Pair after pair, in the same order on every rank, one message each way.
void C10dCommunicator::do_connect_neighbours() {
  const int num_pairs = size() == 2 ? 1 : size();
  for (int first = 0; first < num_pairs; ++first) {
    const int second = (first + 1) % size();
    if (rank() == first) exchange_with(second, true);
    if (rank() == second) exchange_with(first, false);
  }
}

void C10dCommunicator::exchange_with(int peer, bool sends_first) {
  at::Tensor byte = at::zeros({1}, at::TensorOptions(device_).dtype(at::kByte));
  if (sends_first) do_start_send(byte, peer)->wait();
  do_start_receive(byte, peer)->wait();
  if (!sends_first) do_start_send(byte, peer)->wait();
}

void C10dCommunicator::do_broadcast_bytes(std::string& bytes, int root) {
  if (links_.control) return links_.control->broadcast_bytes(bytes, root);
  at::Tensor length = at::zeros({1}, at::kLong) + static_cast<std::int64_t>(bytes.size());
  do_broadcast(length, root);
  bytes.resize(static_cast<std::size_t>(length.item<std::int64_t>()));
  at::Tensor content = bytes_tensor(bytes);
  do_broadcast(content, root);
}

std::vector<std::string> C10dCommunicator::do_all_gather_bytes(const std::string& bytes) {
  if (links_.control) return links_.control->all_gather_bytes(bytes);
  at::Tensor lengths = at::zeros({size()}, at::kLong);
  do_all_gather(lengths, at::zeros({1}, at::kLong) + static_cast<std::int64_t>(bytes.size()));
  const auto longest = static_cast<std::size_t>(lengths.max().item<std::int64_t>());
  std::string padded = bytes;
  padded.resize(longest);
  std::string whole(longest * static_cast<std::size_t>(size()), '\0');
  at::Tensor all = bytes_tensor(whole);
  do_all_gather(all, bytes_tensor(padded));
  std::vector<std::string> result;
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(size()); ++rank) {
    const auto length = static_cast<std::size_t>(lengths[static_cast<std::int64_t>(rank)].item<std::int64_t>());
    result.push_back(whole.substr(rank * longest, length));
  }
  return result;
}

bool C10dCommunicator::do_all_hold(bool holds) {
  if (links_.control) return links_.control->all_hold(holds);
  at::Tensor num_others = at::zeros({1}, at::kLong) + static_cast<std::int64_t>(!holds);
  do_all_reduce(num_others, ReduceOp::kSum);
  return num_others.item<std::int64_t>() == 0;
}

void C10dCommunicator::do_barrier() {
  if (links_.control) return links_.control->barrier();
  call_c10d("barrier", where_, [&] { links_.up->barrier()->wait(); });
}

}  // namespace collimate::detail
