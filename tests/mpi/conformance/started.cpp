// start_reduce_scatter and start_all_gather.

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "conformance.hpp"

namespace collimate::conformance {

namespace {

constexpr std::int64_t kElements = 10'007;
constexpr int kRounds = 5;

// What round `round` sums, and what it gathers, on one rank.
at::Tensor input_of(const Communicator& group, int round) {
  return ramp(at::kFloat, kElements * group.size(), round) + group.rank();
}
at::Tensor sum_of(const Communicator& group, int round) {
  const at::Tensor own = ramp(at::kFloat, kElements, round + group.rank() * kElements);
  return own * group.size() + group.size() * (group.size() - 1) / 2;
}
at::Tensor part_of_rank(int rank, int round) { return ramp(at::kFloat, kElements, 3 * rank + round); }
at::Tensor all_parts(const Communicator& group, int round) {
  std::vector<at::Tensor> parts;
  for (int rank = 0; rank < group.size(); ++rank) parts.push_back(part_of_rank(rank, round));
  return at::cat(parts);
}

// Operations under way, with what they need.
struct Started {
  at::Tensor input, sum, part, all;
  std::vector<WorkHandle> works;
};

Started start_round(Communicator& group, int round) {
  Started started{.input = input_of(group, round),
                  .sum = at::empty({kElements}, at::kFloat),
                  .part = part_of_rank(group.rank(), round),
                  .all = at::zeros({kElements * group.size()}, at::kFloat),
                  .works = {}};
  started.works.push_back(group.start_reduce_scatter(started.sum, started.input));
  started.works.push_back(group.start_all_gather(started.all, started.part));
  return started;
}

void expect_round(const Communicator& group, int round, Started& started) {
  for (const WorkHandle& work : started.works) {
    work->wait();
    EXPECT_TRUE(work->is_done());
    work->wait();
  }
  EXPECT_TRUE(same_bytes(started.sum, sum_of(group, round))) << group.name() << ", round " << round;
  EXPECT_TRUE(same_bytes(started.all, all_parts(group, round))) << group.name() << ", round " << round;
}

void many_are_under_way_at_once(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    std::vector<Started> rounds;
    for (int round = 0; round < kRounds; ++round) rounds.push_back(start_round(group, round));
    for (int round = kRounds; round-- > 0;) expect_round(group, round, rounds.at(static_cast<std::size_t>(round)));
  });
}

void other_operations_of_the_group_come_after_them(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    Started started = start_round(group, 1);
    at::Tensor ranks = at::full({3}, group.rank(), at::kDouble);
    group.all_reduce(ranks, ReduceOp::kSum);
    group.barrier();
    EXPECT_EQ(ranks[2].item<double>(), group.size() * (group.size() - 1) / 2);
    expect_round(group, 1, started);
  });
}

void other_groups_work_meanwhile(GroupFactory& factory) {
  const auto first = factory.make_world_group();
  const auto second = factory.make_world_group();
  Started slow = start_round(*first, 2);
  for (int round = 0; round < kRounds; ++round) {
    at::Tensor all = at::zeros({kElements * second->size()}, at::kFloat);
    second->all_gather(all, part_of_rank(second->rank(), round));
    EXPECT_TRUE(same_bytes(all, all_parts(*second, round)));
  }
  expect_round(*first, 2, slow);
}

void they_work_in_place(GroupFactory& factory) {
  on_each_group(factory, [&](Communicator& group) {
    at::Tensor values = input_of(group, 3);
    at::Tensor own = values.narrow(0, group.rank() * kElements, kElements);
    group.start_reduce_scatter(own, values)->wait();
    EXPECT_TRUE(same_bytes(own, sum_of(group, 3)));
    group.start_all_gather(values, own)->wait();
    std::vector<at::Tensor> sums;
    for (int rank = 0; rank < group.size(); ++rank) {
      const at::Tensor base = ramp(at::kFloat, kElements, 3 + rank * kElements);
      sums.push_back(base * group.size() + group.size() * (group.size() - 1) / 2);
    }
    EXPECT_TRUE(same_bytes(values, at::cat(sums))) << group.name();
  });
}

}  // namespace

std::vector<Case> started_cases() {
  return {{"started_many_are_under_way_at_once", many_are_under_way_at_once},
          {"started_other_operations_of_the_group_come_after", other_operations_of_the_group_come_after_them},
          {"started_other_groups_work_meanwhile", other_groups_work_meanwhile},
          {"started_they_work_in_place", they_work_in_place}};
}

}  // namespace collimate::conformance
