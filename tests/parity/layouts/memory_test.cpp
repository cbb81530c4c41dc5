// The memory of a step is what the plan says, within 5 % on every rank: all of it, and what is not weights, gradients
// and optimizer state alone.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "layouts.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"
#include "training.hpp"

namespace collimate {
namespace {

using test::Layout;
using test::LayoutResult;
using test::ModelKind;

constexpr double kTolerance = 0.05;

Layout wide(Layout layout) {
  if (layout.model == ModelKind::kPlain) layout.model = ModelKind::kWide;
  layout.num_steps = 2;
  layout.global_batch_size = 5;
  layout.microbatch_tokens = 1500;
  layout.num_layers = 6;
  layout.bucket_elements.reset();
  if (layout.dtype == ComputeDtype::kFloat64) layout.dtype = ComputeDtype::kFloat32;
  return layout;
}

std::vector<Layout> layouts_of(int num_ranks) {
  switch (num_ranks) {
    case 1:
      return {{},
              {.recompute = Recompute::kSelective},
              {.recompute = Recompute::kFull},
              {.recompute = Recompute::kFull, .dtype = ComputeDtype::kBFloat16},
              {.model = ModelKind::kWideAllOptions},
              {.dtype = ComputeDtype::kBFloat16}};
    case 2:
      return {{.data = 2, .zero_stage = 0},
              {.data = 2},
              {.data = 2, .zero_stage = 2},
              {.tensor = 2},
              {.tensor = 2, .sequence_parallel = false, .recompute = Recompute::kSelective},
              {.tensor = 2, .model = ModelKind::kWideAllOptions},
              {.pipeline = 2, .recompute = Recompute::kFull},
              {.pipeline = 2, .schedule = ScheduleType::kZbH1, .recompute = Recompute::kSelective},
              {.pipeline = 2, .schedule = ScheduleType::kZbH1}};
    default:
      return {{.data = 2, .tensor = 2, .zero_stage = 2, .dtype = ComputeDtype::kBFloat16},
              {.pipeline = 4},
              {.pipeline = 2, .tensor = 2, .schedule = ScheduleType::kInterleaved, .virtual_stages = 2},
              {.data = 2, .pipeline = 2, .schedule = ScheduleType::kZbv, .virtual_stages = 2}};
  }
}

std::string text(const MemoryUse& use) {
  return fmt::format("weights {}, gradients {}, optimizer {}, activations {}, head {}, communication {}",
                     use[MemoryKind::kWeights], use[MemoryKind::kGradients], use[MemoryKind::kOptimizer],
                     use[MemoryKind::kActivations], use[MemoryKind::kHead], use[MemoryKind::kCommunication]);
}

double ratio(std::int64_t expected, std::int64_t measured) {
  return static_cast<double>(expected) / static_cast<double>(measured);
}

TEST(MemoryTest, a_step_takes_what_the_plan_says_on_every_rank) {
  const TemporaryFolder folder;
  const test::LayoutData data = test::make_layout_data(folder.path().string(), 260);
  for (const Layout& some : layouts_of(environment().world_size())) {
    const Layout layout = wide(some);
    ProcessMesh mesh(environment(), environment(), mesh_shape(layout.parallel(), environment().world_size()));
    const LayoutResult result = test::train_layout(layout, data, mesh);
    const MemoryUse& expected = result.expected_memory;
    const std::string what = fmt::format("rank {} of {}: expected {} ({}), measured {}", environment().world_rank(),
                                         layout.name(), expected.total(), text(expected), result.peak_bytes);
    EXPECT_NEAR(ratio(expected.total(), result.peak_bytes), 1.0, kTolerance) << what;
    // What comes and goes alone: the larger part of a large model's memory is not allowed to hide an error in it.
    const std::int64_t states = result.held_bytes.total();
    EXPECT_EQ(result.held_bytes[MemoryKind::kWeights], expected[MemoryKind::kWeights]) << what;
    EXPECT_EQ(result.held_bytes[MemoryKind::kOptimizer], expected[MemoryKind::kOptimizer]) << what;
    EXPECT_LE(result.held_bytes[MemoryKind::kGradients], expected[MemoryKind::kGradients]) << what;
    EXPECT_NEAR(ratio(expected.total() - states, result.peak_bytes - states), 1.0, kTolerance) << what;
  }
}

}  // namespace
}  // namespace collimate
