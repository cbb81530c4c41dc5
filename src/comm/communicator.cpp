#include "collimate/comm/communicator.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/shard_range.hpp"
#include "collimate/base/trace.hpp"

namespace collimate {

namespace {

std::int64_t bytes_of(const at::Tensor& tensor) { return tensor.numel() * tensor.element_size(); }

void require_contiguous(const at::Tensor& tensor) {
  check(tensor.is_contiguous(), "a communicator takes contiguous tensors");
}

// The name of a call for the watchdog's report, made without memory from the heap.
class CallText {
 public:
  CallText(const char* call, std::string_view group, int peer = -1) {
    const auto end =
        peer < 0 ? fmt::format_to_n(bytes_.data(), bytes_.size(), "{} of group '{}'", call, group)
                 : fmt::format_to_n(bytes_.data(), bytes_.size(), "{} of group '{}', its rank {}", call, group, peer);
    size_ = std::min(end.size, bytes_.size());
  }
  [[nodiscard]] std::string_view text() const noexcept { return {bytes_.data(), size_}; }

 private:
  std::array<char, 96> bytes_{};
  std::size_t size_ = 0;
};

// Work that says while it is waited for what it is.
class NotedWork final : public Work {
 public:
  NotedWork(WorkHandle work, ActivityLog& activity, const CallText& call)
      : work_(std::move(work)), activity_(activity), call_(call) {}

  [[nodiscard]] bool is_done() override { return work_->is_done(); }
  void wait() override {
    const WaitScope scope(&activity_, call_.text());
    work_->wait();
  }

 private:
  WorkHandle work_;
  ActivityLog& activity_;
  CallText call_;
};

}  // namespace

std::int64_t all_reduce_bytes(std::int64_t elements, std::int64_t element_bytes, int rank, int size) {
  const std::int64_t own = shard_range(elements, size, rank).length;
  return (elements - own + (size - 1) * own) * element_bytes;
}

Communicator::Communicator(std::string name, int rank, int size) : name_(std::move(name)), rank_(rank), size_(size) {
  check(rank >= 0 && rank < size, "a rank is inside its group");
}

template <class Part>
void Communicator::run(const Call& call, const Part& part) {
  if (call.tensor != nullptr) require_contiguous(*call.tensor);
  if (size_ == 1) return;
  std::optional<WaitScope> wait;
  if (activity_ != nullptr) wait.emplace(activity_, CallText(call.name, name_).text());
  if (check_level_ == CheckLevel::kFull && call.operation != CommOperation::kSend) agree_on(call);
  TraceRecorder* const trace = call.operation == CommOperation::kControl ? nullptr : trace_;
  const TraceScope scope(trace, "comm", trace == nullptr ? "" : fmt::format("{}.{}", name_, call.name),
                         call.sent_bytes);
  counts_.add(call.operation, call.sent_bytes);
  part();
}

WorkHandle Communicator::noted(WorkHandle work, const char* call, int peer) const {
  if (activity_ == nullptr || size_ == 1) return work;
  return std::make_unique<NotedWork>(std::move(work), *activity_, CallText(call, name_, peer));
}

void Communicator::agree_on(const Call& call) {
  std::string own = fmt::format("number {}: {}", num_collectives_++, call.name);
  if (call.root >= 0) own += fmt::format(" from rank {}", call.root);
  if (call.tensor != nullptr) {
    own += fmt::format(" of {} {} elements", call.tensor->numel(), toString(call.tensor->scalar_type()));
  }
  const std::vector<std::string> calls = do_all_gather_bytes(own);
  for (int other = 0; other < size_; ++other) {
    const std::string& theirs = calls[static_cast<std::size_t>(other)];
    if (theirs == calls.front()) continue;
    throw Error(fmt::format("ranks of group '{}' have called different operations: rank 0 {}; rank {} {}", name_,
                            calls.front(), other, theirs));
  }
}

void Communicator::require_peer(int peer) const {
  check(peer >= 0 && peer < size_ && peer != rank_, "a message goes to another rank of the group");
}

void Communicator::require_reducible(const at::Tensor& tensor) const {
  const at::ScalarType dtype = tensor.scalar_type();
  if (size_ == 1 || dtype == at::kFloat || dtype == at::kDouble || dtype == at::kBFloat16 || dtype == at::kLong) return;
  throw Error(fmt::format("group '{}' cannot reduce {} tensors", name_, toString(dtype)));
}

void Communicator::all_reduce(at::Tensor& tensor, ReduceOp op) {
  require_reducible(tensor);
  run({.operation = CommOperation::kAllReduce,
       .name = op == ReduceOp::kSum ? "all_reduce (sum)" : "all_reduce (max)",
       .sent_bytes = all_reduce_bytes(tensor.numel(), tensor.element_size(), rank_, size_),
       .tensor = &tensor},
      [&] { do_all_reduce(tensor, op); });
}

Communicator::Call Communicator::reduce_scatter_call(const at::Tensor& output, const at::Tensor& input) const {
  check(input.numel() == size_ * output.numel(), "a reduce-scatter takes one part for each rank");
  check(input.scalar_type() == output.scalar_type(), "a reduce-scatter keeps the dtype");
  require_contiguous(output);
  require_reducible(input);
  return {.operation = CommOperation::kReduceScatter,
          .name = "reduce_scatter",
          .sent_bytes = reduce_scatter_bytes(bytes_of(input), size_),
          .tensor = &input};
}

void Communicator::reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  const Call call = reduce_scatter_call(output, input);
  if (size_ == 1) output.view({-1}).copy_(input.view({-1}));
  run(call, [&] { do_reduce_scatter(output, input); });
}

WorkHandle Communicator::start_reduce_scatter(at::Tensor& output, const at::Tensor& input) {
  const Call call = reduce_scatter_call(output, input);
  WorkHandle work = std::make_unique<DoneWork>();
  if (size_ == 1) output.view({-1}).copy_(input.view({-1}));
  run(call, [&] { work = do_start_reduce_scatter(output, input); });
  return noted(std::move(work), call.name);
}

Communicator::Call Communicator::all_gather_call(const at::Tensor& output, const at::Tensor& input) const {
  check(output.numel() == size_ * input.numel(), "an all-gather gives one part of each rank");
  check(input.scalar_type() == output.scalar_type(), "an all-gather keeps the dtype");
  require_contiguous(output);
  return {.operation = CommOperation::kAllGather,
          .name = "all_gather",
          .sent_bytes = collimate::all_gather_bytes(bytes_of(input), size_),
          .tensor = &input};
}

void Communicator::all_gather(at::Tensor& output, const at::Tensor& input) {
  const Call call = all_gather_call(output, input);
  if (size_ == 1) output.view({-1}).copy_(input.view({-1}));
  run(call, [&] { do_all_gather(output, input); });
}

WorkHandle Communicator::start_all_gather(at::Tensor& output, const at::Tensor& input) {
  const Call call = all_gather_call(output, input);
  WorkHandle work = std::make_unique<DoneWork>();
  if (size_ == 1) output.view({-1}).copy_(input.view({-1}));
  run(call, [&] { work = do_start_all_gather(output, input); });
  return noted(std::move(work), call.name);
}

void Communicator::broadcast(at::Tensor& tensor, int root) {
  run({.operation = CommOperation::kBroadcast,
       .name = "broadcast",
       .sent_bytes = collimate::broadcast_bytes(bytes_of(tensor), root == rank_, size_),
       .tensor = &tensor,
       .root = root},
      [&] { do_broadcast(tensor, root); });
}

WorkHandle Communicator::start_send(const at::Tensor& tensor, int destination) {
  require_peer(destination);
  WorkHandle work;
  run({.operation = CommOperation::kSend, .name = "send", .sent_bytes = bytes_of(tensor), .tensor = &tensor},
      [&] { work = do_start_send(tensor, destination); });
  return noted(std::move(work), "send", destination);
}

WorkHandle Communicator::start_receive(at::Tensor& tensor, int source) {
  require_peer(source);
  require_contiguous(tensor);
  return noted(do_start_receive(tensor, source), "receive", source);
}

void Communicator::connect_neighbours() {
  if (size_ == 1) return;
  const WaitScope scope(activity_, "connecting neighbours");
  do_connect_neighbours();
}

void Communicator::broadcast_bytes(std::string& bytes, int root) {
  run({.operation = CommOperation::kControl, .name = "broadcast_bytes", .root = root},
      [&] { do_broadcast_bytes(bytes, root); });
}

std::vector<std::string> Communicator::all_gather_bytes(const std::string& bytes) {
  std::vector<std::string> all{bytes};
  run({.operation = CommOperation::kControl, .name = "all_gather_bytes"}, [&] { all = do_all_gather_bytes(bytes); });
  return all;
}

bool Communicator::all_hold(bool holds) {
  bool all = holds;
  run({.operation = CommOperation::kControl, .name = "all_hold"}, [&] { all = do_all_hold(holds); });
  return all;
}

void Communicator::barrier() {
  run({.operation = CommOperation::kControl, .name = "barrier"}, [&] { do_barrier(); });
}

}  // namespace collimate
