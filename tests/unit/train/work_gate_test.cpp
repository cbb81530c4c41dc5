#include "collimate/train/work_gate.hpp"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

using Answer = WorkGate::Answer;

TEST(WorkGateTest, work_can_be_given_up_only_while_it_is_open) {
  WorkGate gate;
  EXPECT_EQ(gate.give_up(0), Answer::kAhead);
  gate.open(WorkKind::kStep);
  gate.close();
  EXPECT_EQ(gate.give_up(0), Answer::kClosed);
  gate.pass();
  EXPECT_EQ(gate.give_up(0), Answer::kPassed);
  EXPECT_EQ(gate.give_up(1), Answer::kAhead);
  gate.open(WorkKind::kEvaluation);
  EXPECT_EQ(gate.give_up(0), Answer::kPassed);
  EXPECT_EQ(gate.give_up(1), Answer::kGivenUp);
  EXPECT_EQ(gate.give_up(1), Answer::kGivenUp);
  EXPECT_EQ(gate.view().kind, WorkKind::kEvaluation);
}

TEST(WorkGateTest, who_closes_work_that_was_given_up_never_returns) {
  // On the heap and never freed: the thread stays inside.
  auto* const gate = new WorkGate;
  auto* const has_returned = new std::atomic<bool>(false);
  gate->open(WorkKind::kStep);
  ASSERT_EQ(gate->give_up(0), Answer::kGivenUp);
  std::thread([gate, has_returned] {
    gate->close();
    *has_returned = true;
  }).detach();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_FALSE(*has_returned);
  EXPECT_EQ(gate->give_up(0), Answer::kGivenUp);
}

TEST(WorkGateTest, knows_what_work_of_a_kind_takes) {
  WorkGate gate;
  EXPECT_EQ(gate.view().number, -1);
  const auto run = [&](WorkKind kind, int milliseconds) {
    gate.open(kind);
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    gate.close();
    gate.pass();
  };
  run(WorkKind::kEvaluation, 80);
  gate.open(WorkKind::kStep);
  EXPECT_EQ(gate.view().number, 1);
  EXPECT_FALSE(gate.view().usual_seconds);
  EXPECT_THROW(gate.open(WorkKind::kStep), InvariantError);
  gate.close();
  gate.pass();
  EXPECT_EQ(gate.view().number, -1);
  gate.open(WorkKind::kEvaluation);
  EXPECT_GE(gate.view().usual_seconds.value(), 0.08);
  EXPECT_LT(gate.view().seconds, gate.view().usual_seconds.value());
}

}  // namespace
}  // namespace collimate
