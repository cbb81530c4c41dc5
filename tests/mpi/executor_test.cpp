// The executor on small stages, against the same chain computed on one rank.

#include "collimate/pipeline/executor.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <stdexcept>
#include <tuple>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/solo.hpp"
#include "collimate/nn/linear.hpp"
#include "support/mpi_world.hpp"
#include "support/schedules.hpp"
#include "unit/nn/gradient_check.hpp"

namespace collimate {
namespace {

constexpr std::int64_t kSize = 4;

/// Rows of a microbatch: every one has another shape.
std::int64_t rows_of(int microbatch) { return microbatch + 1; }

at::Tensor data_of(int microbatch) {
  return test::random_tensors({{rows_of(microbatch), kSize}}, 100 + static_cast<std::uint64_t>(microbatch))[0];
}

/// The parameters of all stages, the same on every rank: a matrix and a factor each.
struct Chain {
  std::vector<at::Tensor> weights;
  std::vector<at::Tensor> factors;

  explicit Chain(int num_stages) {
    for (int stage = 0; stage < num_stages; ++stage) {
      std::vector<at::Tensor> values =
          test::random_tensors({{kSize, kSize}, {kSize}}, static_cast<std::uint64_t>(stage));
      weights.push_back(values[0].requires_grad_());
      factors.push_back(values[1].requires_grad_());
    }
  }

  [[nodiscard]] at::Tensor apply(int stage, const at::Tensor& x, WeightGradientQueue* queue) const {
    const auto index = static_cast<std::size_t>(stage);
    const at::Tensor y = linear({.value = x * factors[index]}, {.weight = weights[index], .bias = {}}, queue).tanh();
    return index + 1 == weights.size() ? y.sum() : y;
  }

  /// The last stage's result for a microbatch.
  [[nodiscard]] at::Tensor apply_all(int microbatch) const {
    at::Tensor value = data_of(microbatch);
    for (int stage = 0; stage < std::ssize(weights); ++stage) value = apply(stage, value, nullptr);
    return value;
  }
};

/// The chain as work of an executor, with a record of what came by.
class ChainWork : public StageWork {
 public:
  ChainWork(const Chain& chain, WeightGradientQueue& queue) : chain_(chain), queue_(queue) {}

  at::Tensor forward(int stage, int microbatch, const at::Tensor& input) override {
    note_what_is_alive(input);
    EXPECT_EQ(input.defined(), stage > 0);
    const at::Tensor x = stage == 0 ? data_of(microbatch) : input;
    EXPECT_EQ(x.sizes(), at::IntArrayRef({rows_of(microbatch), kSize}));
    at::Tensor output = chain_.apply(stage, x, &queue_);
    EXPECT_EQ(output.requires_grad(), at::GradMode::is_enabled());
    if (output.dim() == 0) results[microbatch] = output.detach().clone();
    return output;
  }

  [[nodiscard]] at::Tensor empty_input(int stage, int microbatch) const override {
    EXPECT_GT(stage, 0);
    return at::empty({rows_of(microbatch), kSize}, at::kDouble);
  }

  std::map<int, at::Tensor> results;  ///< of the last stage, by microbatch
  std::ptrdiff_t most_alive = 0;      ///< earlier inputs that were kept at one time

 private:
  void note_what_is_alive(const at::Tensor& input) {
    const auto alive = std::ranges::count_if(inputs_, [](const auto& earlier) { return !earlier.expired(); });
    most_alive = std::max(most_alive, alive);
    if (input.defined()) inputs_.emplace_back(input.getIntrusivePtr());
  }

  const Chain& chain_;
  WeightGradientQueue& queue_;
  std::vector<c10::weak_intrusive_ptr<at::TensorImpl>> inputs_;
};

/// Expects the gradients of this rank's stages to be those of `expected`, and the other stages to have none.
void expect_gradients(const Chain& got, const Chain& expected, const Schedule& schedule, int pp_rank) {
  for (int stage = 0; stage < schedule.num_stages(); ++stage) {
    SCOPED_TRACE(stage);
    const auto index = static_cast<std::size_t>(stage);
    const bool is_used = schedule.rank_of_stage[index] == pp_rank && schedule.num_microbatches > 0;
    ASSERT_EQ(got.weights[index].grad().defined(), is_used);
    ASSERT_EQ(got.factors[index].grad().defined(), is_used);
    if (!is_used) continue;
    EXPECT_LE(test::relative_difference(got.weights[index].grad(), expected.weights[index].grad()), 1e-13);
    EXPECT_LE(test::relative_difference(got.factors[index].grad(), expected.factors[index].grad()), 1e-13);
  }
}

Chain run_on_one_rank(int num_stages, int num_microbatches) {
  Chain chain(num_stages);
  for (int microbatch = 0; microbatch < num_microbatches; ++microbatch) chain.apply_all(microbatch).backward();
  return chain;
}

/// Expects the results of the last stage where it is, and none elsewhere.
void expect_results(const ChainWork& work, const Schedule& schedule, int pp_rank) {
  const bool has_last = schedule.rank_of_stage.back() == pp_rank;
  ASSERT_EQ(std::ssize(work.results), has_last ? schedule.num_microbatches : 0);
  const Chain chain(schedule.num_stages());
  for (const auto& [microbatch, result] : work.results) {
    EXPECT_LE(test::relative_difference(result, chain.apply_all(microbatch).detach()), 1e-14) << microbatch;
  }
}

class ExecutorTest : public testing::TestWithParam<std::tuple<ScheduleType, int>> {
 protected:
  [[nodiscard]] Schedule training_schedule(int interleaved) const {
    const auto [type, num_microbatches] = GetParam();
    return lowered_schedule({.type = type,
                             .num_ranks = group->size(),
                             .virtual_stages = virtual_stages_for(type, interleaved),
                             .num_microbatches = num_microbatches});
  }

  std::unique_ptr<Communicator> group = make_world_group();
  WeightGradientQueue queue;
};

INSTANTIATE_TEST_SUITE_P(TypesAndMicrobatches, ExecutorTest,
                         testing::Combine(testing::ValuesIn(kAllScheduleTypes), testing::Values(0, 1, 3, 8)),
                         [](const auto& entry) {
                           return std::string(enum_name(std::get<0>(entry.param))) + "_" +
                                  std::to_string(std::get<1>(entry.param));
                         });

TEST_P(ExecutorTest, gradients_are_those_of_the_chain_on_one_rank) {
  for (const int interleaved : {2, 3}) {
    const Schedule schedule = training_schedule(interleaved);
    const Chain chain(schedule.num_stages());
    ChainWork work(chain, queue);
    ScheduleExecutor(*group, queue).run(schedule, work);
    EXPECT_TRUE(queue.is_empty());
    EXPECT_FALSE(queue.takes_products());
    expect_results(work, schedule, group->rank());
    expect_gradients(chain, run_on_one_rank(schedule.num_stages(), schedule.num_microbatches), schedule, group->rank());
  }
}

TEST_P(ExecutorTest, a_second_run_adds_to_the_gradients) {
  const Schedule schedule = training_schedule(2);
  const Chain chain(schedule.num_stages());
  ChainWork work(chain, queue);
  ScheduleExecutor executor(*group, queue);
  executor.run(schedule, work);
  executor.run(schedule, work);
  const Chain expected = run_on_one_rank(schedule.num_stages(), schedule.num_microbatches);
  for (const auto* parameters : {&expected.weights, &expected.factors}) {
    for (const at::Tensor& parameter : *parameters) {
      if (parameter.grad().defined()) parameter.mutable_grad().mul_(2);
    }
  }
  expect_gradients(chain, expected, schedule, group->rank());
}

TEST_P(ExecutorTest, a_forward_schedule_gives_the_outputs_and_keeps_nothing) {
  const Schedule training = training_schedule(2);
  const Schedule schedule = add_messages(forward_schedule(training.rank_of_stage, training.num_microbatches));
  const Chain chain(schedule.num_stages());
  ChainWork work(chain, queue);
  ScheduleExecutor(*group, queue).run(schedule, work);
  expect_results(work, schedule, group->rank());
  EXPECT_EQ(work.most_alive, 0);
  EXPECT_TRUE(at::GradMode::is_enabled()) << "again";
  for (const at::Tensor& weight : chain.weights) EXPECT_FALSE(weight.grad().defined());
}

TEST(ExecutorMemoryTest, a_training_schedule_keeps_an_input_until_its_backward_pass) {
  using enum ActionKind;
  const auto group = SoloFactory().make_group("pipeline", {0});
  const Schedule schedule{.num_microbatches = 3,
                          .rank_of_stage = {0, 0},
                          .actions = {{{kForward, 0, 0},
                                       {kForward, 1, 0},
                                       {kForward, 0, 1},
                                       {kForward, 1, 1},
                                       {kBackward, 1, 0},
                                       {kBackward, 0, 0},
                                       {kBackward, 1, 1},
                                       {kBackward, 0, 1},
                                       {kForward, 0, 2},
                                       {kForward, 1, 2},
                                       {kBackward, 1, 2},
                                       {kBackward, 0, 2}}}};
  const Chain chain(2);
  WeightGradientQueue queue;
  ChainWork work(chain, queue);
  ScheduleExecutor(*group, queue).run(schedule, work);
  EXPECT_EQ(work.most_alive, 1) << "that of microbatch 0 when 1 came";
  expect_gradients(chain, run_on_one_rank(2, 3), schedule, 0);
}

/// The chain, but for an error in the forward or backward pass of one microbatch.
class FailingWork final : public ChainWork {
 public:
  FailingWork(const Chain& chain, WeightGradientQueue& queue, int failing_microbatch, bool fails_backward)
      : ChainWork(chain, queue), queue_(queue), failing_(failing_microbatch), fails_backward_(fails_backward) {}

  at::Tensor forward(int stage, int microbatch, const at::Tensor& input) override {
    at::Tensor output = ChainWork::forward(stage, microbatch, input);
    if (microbatch != failing_) return output;
    had_left = !queue_.is_empty();
    if (!fails_backward_) throw std::runtime_error("forward failed");
    output.register_hook([](const at::Tensor&) -> void { throw std::runtime_error("backward failed"); });
    return output;
  }

  bool had_left = false;  ///< Whether products waited in the queue when the microbatch came that fails.

 private:
  WeightGradientQueue& queue_;
  int failing_;
  bool fails_backward_;
};

/// One rank, one stage, with the weight gradients at the end.
Schedule deferring_schedule() {
  using enum ActionKind;
  return {.num_microbatches = 2,
          .rank_of_stage = {0},
          .actions = {{{kForward, 0, 0},
                       {kInputGradient, 0, 0},
                       {kForward, 0, 1},
                       {kInputGradient, 0, 1},
                       {kWeightGradient, 0, 0},
                       {kWeightGradient, 0, 1}}}};
}

// A group of one: where messages are under way, an error ends the job.
TEST(ExecutorFailureTest, work_that_throws_leaves_the_queue_empty_and_the_executor_usable) {
  const auto group = SoloFactory().make_group("pipeline", {0});
  for (const bool fails_backward : {false, true}) {
    WeightGradientQueue queue;
    const Chain failing_chain(1);
    FailingWork failing(failing_chain, queue, 1, fails_backward);
    ScheduleExecutor executor(*group, queue);
    EXPECT_THROW(executor.run(deferring_schedule(), failing), std::runtime_error);
    EXPECT_TRUE(failing.had_left);
    EXPECT_TRUE(queue.is_empty());
    EXPECT_FALSE(queue.takes_products());

    const Chain chain(1);
    ChainWork work(chain, queue);
    executor.run(deferring_schedule(), work);
    expect_gradients(chain, run_on_one_rank(1, 2), deferring_schedule(), 0);
  }
}

TEST(ExecutorFailureTest, a_schedule_that_leaves_work_undone_is_refused) {
  const auto group = SoloFactory().make_group("pipeline", {0});
  for (const bool leaves_products : {false, true}) {
    Schedule schedule = deferring_schedule();
    // Without its last weight gradient, or with a forward pass whose backward pass never comes.
    schedule.actions[0].pop_back();
    if (!leaves_products)
      schedule.actions[0] = {{ActionKind::kForward, 0, 0}, {ActionKind::kForward, 0, 1}, {ActionKind::kBackward, 0, 0}};
    WeightGradientQueue queue;
    const Chain chain(1);
    ChainWork work(chain, queue);
    EXPECT_THROW(ScheduleExecutor(*group, queue).run(schedule, work), InvariantError);
    EXPECT_TRUE(queue.is_empty());
  }
}

}  // namespace
}  // namespace collimate
