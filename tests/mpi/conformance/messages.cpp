// Messages between two ranks.

#include <array>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "conformance.hpp"

namespace collimate::conformance {

namespace {

int next(const Communicator& group) { return (group.rank() + 1) % group.size(); }
int previous(const Communicator& group) { return (group.rank() + group.size() - 1) % group.size(); }

void wait_all(std::vector<WorkHandle>& works) {
  for (const WorkHandle& work : works) work->wait();
}

// Every rank sends to the next and receives from the previous: in a group of two, both directions at once.
void ring_carries_messages_of_any_dtype(GroupFactory& factory, Content content) {
  on_groups_for(content, factory, [&](Communicator& group) {
    if (group.size() == 1) return;
    const at::Tensor sent = ramp(content.dtype, content.elements, group.rank());
    at::Tensor received = at::zeros_like(sent);
    const WorkHandle send = group.start_send(sent, next(group));
    const WorkHandle receive = group.start_receive(received, previous(group));
    receive->wait();
    send->wait();
    EXPECT_TRUE(same_bytes(received, ramp(content.dtype, content.elements, previous(group)))) << group.name();
  });
}

// Sizes that a transport may treat differently, nothing among them.
std::int64_t elements_of(int message) {
  constexpr std::array<std::int64_t, 5> kElements{1, 0, 13, 5'000, 100'000};
  return kElements.at(static_cast<std::size_t>(message) % kElements.size());
}

void many_messages_arrive_in_order(GroupFactory& factory) {
  constexpr int kNumMessages = 200;
  on_each_group(factory, [&](Communicator& group) {
    if (group.size() == 1) return;
    std::vector<at::Tensor> sent;
    std::vector<at::Tensor> received;
    std::vector<WorkHandle> works;
    for (int message = 0; message < kNumMessages; ++message) {
      sent.push_back(at::full({elements_of(message)}, 1000 * group.rank() + message, at::kInt));
      received.push_back(at::zeros({elements_of(message)}, at::kInt));
      works.push_back(group.start_send(sent.back(), next(group)));
      works.push_back(group.start_receive(received.back(), previous(group)));
    }
    wait_all(works);
    for (int message = 0; message < kNumMessages; ++message) {
      const at::Tensor expected = at::full({elements_of(message)}, 1000 * previous(group) + message, at::kInt);
      EXPECT_TRUE(same_bytes(received[static_cast<std::size_t>(message)], expected)) << group.name() << ' ' << message;
    }
  });
}

void both_directions_at_once_between_all_pairs(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    const auto message = [](int from, int to) { return at::full({1 << 18}, 10 * from + to, at::kDouble); };
    std::vector<at::Tensor> sent;
    std::vector<at::Tensor> received;
    std::vector<int> peers;
    std::vector<WorkHandle> works;
    for (int peer = 0; peer < group.size(); ++peer) {
      if (peer == group.rank()) continue;
      peers.push_back(peer);
      sent.push_back(message(group.rank(), peer));
      received.push_back(at::zeros_like(sent.back()));
    }
    for (std::size_t i = 0; i < peers.size(); ++i) works.push_back(group.start_send(sent[i], peers[i]));
    for (std::size_t i = peers.size(); i-- > 0;) works.push_back(group.start_receive(received[i], peers[i]));
    wait_all(works);
    for (std::size_t i = 0; i < peers.size(); ++i)
      EXPECT_TRUE(same_bytes(received[i], message(peers[i], group.rank())));
  });
}

// A message that was started first is waited for last.
void works_may_be_waited_for_in_any_order_and_again(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    if (group.size() == 1) return;
    at::Tensor first = at::zeros({3}, at::kFloat);
    at::Tensor second = at::zeros({3}, at::kFloat);
    const WorkHandle receive_first = group.start_receive(first, previous(group));
    const WorkHandle receive_second = group.start_receive(second, previous(group));
    const WorkHandle send_first = group.start_send(at::full({3}, 1.0, at::kFloat), next(group));
    const WorkHandle send_second = group.start_send(at::full({3}, 2.0, at::kFloat), next(group));
    for (int time = 0; time < 2; ++time) {
      for (const auto& work : {&receive_second, &receive_first, &send_second, &send_first}) (*work)->wait();
    }
    EXPECT_TRUE(same_bytes(first, at::full({3}, 1.0, at::kFloat)));
    EXPECT_TRUE(same_bytes(second, at::full({3}, 2.0, at::kFloat)));
  });
}

void groups_of_the_same_ranks_have_their_own_messages(GroupFactory& factory) {
  const auto one = factory.make_world_group();
  const auto other = factory.make_world_group();
  if (one->size() == 1) return;
  const at::Tensor sent_one = at::full({4}, 1, at::kLong);
  const at::Tensor sent_other = at::full({4}, 2, at::kLong);
  at::Tensor received_one = at::zeros({4}, at::kLong);
  at::Tensor received_other = at::zeros({4}, at::kLong);
  std::vector<WorkHandle> works;
  works.push_back(one->start_send(sent_one, next(*one)));
  works.push_back(other->start_send(sent_other, next(*one)));
  works.push_back(other->start_receive(received_other, previous(*one)));
  works.push_back(one->start_receive(received_one, previous(*one)));
  wait_all(works);
  EXPECT_TRUE(same_bytes(received_one, sent_one));
  EXPECT_TRUE(same_bytes(received_other, sent_other));
}

// Messages under way do not disturb collectives of the same group, nor these them.
void collectives_run_while_messages_are_under_way(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    if (group.size() == 1) return;
    const at::Tensor sent = at::full({1 << 16}, group.rank(), at::kFloat);
    at::Tensor received = at::zeros({1 << 16}, at::kFloat);
    const WorkHandle receive = group.start_receive(received, previous(group));
    const WorkHandle send = group.start_send(sent, next(group));
    at::Tensor sum = at::full({1 << 16}, 1.0, at::kFloat);
    group.all_reduce(sum, ReduceOp::kSum);
    group.barrier();
    receive->wait();
    send->wait();
    EXPECT_TRUE(same_bytes(sum, at::full({1 << 16}, group.size(), at::kFloat)));
    EXPECT_TRUE(same_bytes(received, at::full({1 << 16}, previous(group), at::kFloat)));
  });
}

void connecting_neighbours_leaves_nothing_behind(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    group.connect_neighbours();
    EXPECT_EQ(group.counts(), CommCounts());
    if (group.size() == 1) return;
    at::Tensor received = at::zeros({1}, at::kFloat);
    const at::Tensor sent = at::full({1}, 5.0 + group.rank(), at::kFloat);
    const WorkHandle send = group.start_send(sent, next(group));
    group.start_receive(received, previous(group))->wait();
    send->wait();
    EXPECT_EQ(received.item<float>(), 5.0F + static_cast<float>(previous(group)));
  });
}

void refuses_a_message_to_itself_or_to_nobody(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    at::Tensor tensor = at::zeros({1}, at::kFloat);
    for (const int peer : {group.rank(), group.size(), -1}) {
      EXPECT_THROW((void)group.start_send(tensor, peer), InvariantError);
      EXPECT_THROW((void)group.start_receive(tensor, peer), InvariantError);
    }
  });
}

}  // namespace

std::vector<Case> message_cases() {
  std::vector<Case> cases = for_each_content(
      "ring_carries_messages", {at::kFloat, at::kDouble, at::kBFloat16, at::kLong}, ring_carries_messages_of_any_dtype);
  cases.push_back({"many_messages_arrive_in_order", many_messages_arrive_in_order});
  cases.push_back({"both_directions_at_once_between_all_pairs", both_directions_at_once_between_all_pairs});
  cases.push_back({"works_may_be_waited_for_in_any_order_and_again", works_may_be_waited_for_in_any_order_and_again});
  cases.push_back(
      {"groups_of_the_same_ranks_have_their_own_messages", groups_of_the_same_ranks_have_their_own_messages});
  cases.push_back({"collectives_run_while_messages_are_under_way", collectives_run_while_messages_are_under_way});
  cases.push_back({"connecting_neighbours_leaves_nothing_behind", connecting_neighbours_leaves_nothing_behind});
  cases.push_back({"refuses_a_message_to_itself_or_to_nobody", refuses_a_message_to_itself_or_to_nobody});
  return cases;
}

}  // namespace collimate::conformance
