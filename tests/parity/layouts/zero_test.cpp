// What the data axis divides changes no bit, nor does what is computed again, and communication does not wait for
// computation.

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "collimate/base/trace.hpp"
#include "layouts.hpp"
#include "support/mpi_world.hpp"
#include "support/slow_factory.hpp"
#include "support/temporary_folder.hpp"
#include "training.hpp"

namespace collimate {
namespace {

using test::Layout;
using test::LayoutResult;
using test::ModelKind;

LayoutResult train_at(Layout layout, int zero_stage, const test::LayoutData& data,
                      GroupFactory& groups = environment()) {
  layout.zero_stage = zero_stage;
  ProcessMesh mesh(environment(), groups, mesh_shape(layout.parallel(), environment().world_size()));
  LayoutResult result = test::train_layout(layout, data, mesh);
  EXPECT_EQ(result.counted_traffic.at("data"), result.expected_traffic.at("data"));
  return result;
}

void expect_same_bits(const LayoutResult& got, const LayoutResult& expected) {
  EXPECT_EQ(got.losses, expected.losses);
  EXPECT_EQ(got.grad_norms, expected.grad_norms);
  ASSERT_EQ(got.state.size(), expected.state.size());
  for (std::size_t i = 0; i < got.state.size(); ++i) {
    ASSERT_EQ(got.state[i].tensors.size(), expected.state[i].tensors.size());
    for (std::size_t k = 0; k < got.state[i].tensors.size(); ++k) {
      EXPECT_TRUE(at::equal(got.state[i].tensors[k].value, expected.state[i].tensors[k].value))
          << got.state[i].name << " " << got.state[i].tensors[k].name;
    }
  }
}

std::vector<Layout> layouts_of(int num_ranks) {
  if (num_ranks < 4) {
    return {{.data = num_ranks, .model = ModelKind::kTied, .dtype = ComputeDtype::kFloat32},
            {.data = num_ranks, .dtype = ComputeDtype::kBFloat16}};
  }
  return {{.data = 2, .tensor = 2, .model = ModelKind::kAllOptions, .dtype = ComputeDtype::kBFloat16},
          {.data = 4, .model = ModelKind::kAllOptions, .dtype = ComputeDtype::kFloat32},
          {.data = 2, .pipeline = 2, .model = ModelKind::kTied, .dtype = ComputeDtype::kFloat32},
          {.data = 2, .tensor = 2, .model = ModelKind::kOneKvHead, .dtype = ComputeDtype::kFloat32}};
}

class ZeroTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
  test::LayoutData data_ = test::make_layout_data(folder_.path().string());
};

TEST_F(ZeroTest, stage_1_gives_the_bits_of_stage_0) {
  for (const Layout& layout : layouts_of(environment().world_size())) {
    SCOPED_TRACE(layout.name());
    const LayoutResult whole = train_at(layout, 0, data_);
    EXPECT_FALSE(whole.losses.empty());
    expect_same_bits(train_at(layout, 1, data_), whole);
  }
}

TEST_F(ZeroTest, stage_2_gives_them_too_when_there_is_one_microbatch) {
  for (Layout layout : layouts_of(environment().world_size())) {
    layout.microbatch_tokens = 4096;
    SCOPED_TRACE(layout.name());
    expect_same_bits(train_at(layout, 2, data_), train_at(layout, 1, data_));
  }
}

TEST_F(ZeroTest, activations_that_are_computed_again_have_the_same_bits) {
  for (Layout layout : layouts_of(environment().world_size())) {
    layout.schedule = layout.pipeline > 1 ? ScheduleType::kZbH1 : layout.schedule;
    SCOPED_TRACE(layout.name());
    const LayoutResult kept = train_at(layout, 1, data_);
    for (const Recompute recompute : {Recompute::kSelective, Recompute::kFull}) {
      layout.recompute = recompute;
      SCOPED_TRACE(enum_name(recompute));
      const LayoutResult again = train_at(layout, 1, data_);
      expect_same_bits(again, kept);
      EXPECT_EQ(again.counted_traffic, again.expected_traffic);
    }
  }
}

// What arrives late must be waited for.
TEST_F(ZeroTest, a_slow_link_changes_no_bit) {
  const auto slow = test::make_slow_factory(environment(), {.seconds_per_operation = 0.002});
  for (Layout layout : layouts_of(environment().world_size())) {
    layout.num_steps = 2;
    for (const int zero_stage : {1, 2}) {
      SCOPED_TRACE(layout.name());
      expect_same_bits(train_at(layout, zero_stage, data_, *slow), train_at(layout, zero_stage, data_));
    }
  }
}

// A span is recorded when it ends: what is started inside a backward pass stands before it.
TEST_F(ZeroTest, reductions_start_inside_the_last_backward_pass_or_in_each_at_stage_2) {
  for (const int zero_stage : {0, 1, 2}) {
    SCOPED_TRACE(zero_stage);
    const int num_ranks = environment().world_size();
    const Layout layout{.data = num_ranks,
                        .microbatch_tokens = 1,
                        .global_batch_size = 2 * num_ranks,
                        .num_steps = 1,
                        .zero_stage = zero_stage};
    ProcessMesh mesh(environment(), environment(), mesh_shape(layout.parallel(), num_ranks));
    TraceRecorder trace;
    test::train_layout(layout, data_, mesh, {}, &trace);
    int num_passes = 0;
    std::vector<int> num_started{0};  // by the number of backward passes that have ended
    for (const TraceSpan& span : trace.spans()) {
      if (span.name == "data.reduce_scatter") ++num_started.back();
      if (!span.name.starts_with("backward ")) continue;
      ++num_passes;
      num_started.push_back(0);
    }
    ASSERT_GE(num_passes, 2);
    if (num_ranks == 1) continue;
    EXPECT_EQ(num_started.front() > 0, zero_stage == 2);
    EXPECT_GT(num_started.at(static_cast<std::size_t>(num_passes) - 1), 3) << "most buckets of the last pass";
    EXPECT_LE(num_started.back(), 1);
  }
}

}  // namespace
}  // namespace collimate
