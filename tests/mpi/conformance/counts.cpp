// Calls and bytes are counted as comm_counts.hpp says.

#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "collimate/base/trace.hpp"
#include "conformance.hpp"

namespace collimate::conformance {

namespace {

constexpr std::int64_t kElements = 11;

void run_each_operation_once(Communicator& group) {
  at::Tensor tensor = at::zeros({kElements}, at::kDouble);
  at::Tensor all = at::zeros({kElements * group.size()}, at::kDouble);
  group.all_reduce(tensor, ReduceOp::kSum);
  group.reduce_scatter(tensor, all);
  group.all_gather(all, tensor);
  group.broadcast(tensor, group.size() - 1);
  std::string text = "text";
  group.broadcast_bytes(text, 0);
  group.all_gather_bytes(text);
  EXPECT_TRUE(group.all_hold(true));
  group.barrier();
  if (group.size() == 1) return;
  const int next = (group.rank() + 1) % group.size();
  at::Tensor received = at::zeros({kElements}, at::kDouble);
  const WorkHandle send = group.start_send(tensor, next);
  group.start_receive(received, (group.rank() + group.size() - 1) % group.size())->wait();
  send->wait();
}

void counts_are_those_of_the_formulas(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    run_each_operation_once(group);
    const CommCounts& counts = group.counts();
    if (group.size() == 1) {
      EXPECT_EQ(counts, CommCounts());
      return;
    }
    const std::int64_t bytes = kElements * 8;
    const std::int64_t others = group.size() - 1;
    const auto once = [](std::int64_t sent) { return OperationCounts{.num_calls = 1, .sent_bytes = sent}; };
    EXPECT_EQ(counts.of(CommOperation::kAllReduce), once(all_reduce_bytes(kElements, 8, group.rank(), group.size())));
    EXPECT_EQ(counts.of(CommOperation::kReduceScatter), once(others * bytes));
    EXPECT_EQ(counts.of(CommOperation::kAllGather), once(others * bytes));
    EXPECT_EQ(counts.of(CommOperation::kBroadcast), once(group.rank() == group.size() - 1 ? others * bytes : 0));
    EXPECT_EQ(counts.of(CommOperation::kSend), once(bytes));
    EXPECT_EQ(counts.of(CommOperation::kControl), (OperationCounts{.num_calls = 4, .sent_bytes = 0}));
    EXPECT_EQ(counts.sent_bytes(), counts.of(CommOperation::kAllReduce).sent_bytes + 2 * others * bytes +
                                       counts.of(CommOperation::kBroadcast).sent_bytes + bytes);

    at::Tensor reduced = at::zeros({1}, at::kLong) + counts.of(CommOperation::kAllReduce).sent_bytes;
    group.all_reduce(reduced, ReduceOp::kSum);
    EXPECT_EQ(reduced.item<std::int64_t>(), 2 * others * bytes);
  });
}

void a_trace_has_every_operation_with_its_bytes(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    TraceRecorder recorder;
    group.set_trace(&recorder);
    run_each_operation_once(group);
    group.set_trace(nullptr);
    group.barrier();
    std::vector<std::string> names;
    std::int64_t sent_bytes = 0;
    for (const TraceSpan& span : recorder.spans()) {
      names.push_back(span.name.substr(span.name.find('.') + 1));
      sent_bytes += span.sent_bytes;
      EXPECT_EQ(span.name.substr(0, span.name.find('.')), group.name());
    }
    std::vector<std::string> expected{"all_reduce (sum)", "reduce_scatter", "all_gather", "broadcast", "send"};
    if (group.size() == 1) expected.clear();
    EXPECT_EQ(names, expected);
    EXPECT_EQ(sent_bytes, group.counts().sent_bytes());
  });
}

}  // namespace

std::vector<Case> count_cases() {
  return {{"counts_are_those_of_the_formulas", counts_are_those_of_the_formulas},
          {"a_trace_has_every_operation_with_its_bytes", a_trace_has_every_operation_with_its_bytes}};
}

}  // namespace collimate::conformance
