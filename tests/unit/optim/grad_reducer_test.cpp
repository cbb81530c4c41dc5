// How gradients add up on one rank; sums over ranks are tested with whole models (tests/parity/layouts).

#include "collimate/optim/grad_reducer.hpp"

#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/solo.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

// Two parameters of a matrix each, in buckets of their own.
class GradReducerTest : public testing::TestWithParam<int> {
 protected:
  [[nodiscard]] GradReducer make_reducer(at::ScalarType dtype = at::kFloat) {
    return {mesh_,
            plan_,
            {.spec = spec_, .layout = layout_, .placements = {{}, {}}, .gradients = at::TensorOptions(dtype)},
            GetParam()};
  }

  // One backward pass that gives `value` times (0, 1, ..., 63) and `value`.
  static void add_microbatch(GradReducer& reducer, double value) {
    reducer.begin(0);
    reducer.take(1, [&](const at::Tensor& sum) { sum.view({8, 8}).add_(at::full({8, 8}, value)); });
    reducer.take(
        0, [&](const at::Tensor& sum) { sum.view({8, 8}).add_(at::arange(64, at::kFloat).view({8, 8}).t() * value); });
    reducer.finish(0);
  }

  SoloFactory solo_;
  ProcessMesh mesh_{solo_, solo_, {}};
  ModelSpec spec_ = test::tiny_spec();
  PipelineLayout layout_ = one_stage(spec_);
  ShardPlan plan_{std::vector<PlannedParameter>(2, {.elements = 64}), 1, 64};
};

TEST_P(GradReducerTest, gradients_of_all_microbatches_add_up_whatever_their_strides) {
  GradReducer reducer = make_reducer();
  for (int step = 0; step < 2; ++step) {
    reducer.begin_step(3);
    for (int microbatch = 1; microbatch <= 3; ++microbatch) add_microbatch(reducer, microbatch);
    EXPECT_TRUE(reducer.end_passes());
    reducer.sum_copies();
    ASSERT_EQ(reducer.shard().size(), 2U);
    const at::Tensor expected = at::arange(64, at::kFloat).view({8, 8}).t().reshape({64}) * 6;
    EXPECT_TRUE(at::equal(reducer.shard()[0], expected));
    EXPECT_TRUE(at::equal(reducer.shard()[1], at::full({64}, 6.0)));
    EXPECT_NEAR(reducer.global_norm(), at::cat({reducer.shard()[0], reducer.shard()[1]}).norm().item<double>(), 1e-2);
  }
}

TEST_P(GradReducerTest, bfloat16_gradients_add_up_in_float32) {
  GradReducer reducer = make_reducer();
  reducer.begin_step(2);
  for (const double value : {256.0, 1.0}) {
    reducer.begin(0);
    for (const std::size_t parameter : {1, 0}) {
      reducer.take(parameter,
                   [&](const at::Tensor& sum) { sum.view({8, 8}).add_(at::full({8, 8}, value, at::kBFloat16)); });
    }
    reducer.finish(0);
  }
  EXPECT_TRUE(reducer.end_passes());
  EXPECT_TRUE(at::equal(reducer.shard()[0], at::full({64}, 257.0)));
}

TEST_P(GradReducerTest, one_gradient_that_is_not_finite_is_seen_until_the_next_step) {
  GradReducer reducer = make_reducer();
  reducer.begin_step(2);
  add_microbatch(reducer, 1.0);
  add_microbatch(reducer, std::numeric_limits<float>::infinity());
  EXPECT_FALSE(reducer.end_passes());
  reducer.begin_step(1);
  add_microbatch(reducer, 1.0);
  EXPECT_TRUE(reducer.end_passes());
}

TEST_P(GradReducerTest, passes_that_are_still_to_come_are_missed) {
  GradReducer reducer = make_reducer();
  reducer.begin_step(2);
  add_microbatch(reducer, 1.0);
  EXPECT_THROW((void)reducer.end_passes(), InvariantError);
}

TEST_P(GradReducerTest, what_was_let_go_of_cannot_be_gathered) {
  GradReducer reducer = make_reducer();
  if (GetParam() == 2) {
    EXPECT_THROW((void)reducer.gather(), InvariantError);
  } else {
    EXPECT_EQ(reducer.gather().numel(), plan_.flat_elements());
  }
}

INSTANTIATE_TEST_SUITE_P(Stages, GradReducerTest, testing::Values(1, 2));

}  // namespace
}  // namespace collimate
