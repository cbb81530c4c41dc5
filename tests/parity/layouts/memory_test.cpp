// The memory of a step is what the plan says, within 5 % on every rank: all of it, and what is not weights, gradients
// and optimizer state alone.

#include <algorithm>
#include <map>
#include <numeric>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "collimate/engine/batch_source.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/memory_meter.hpp"
#include "collimate/engine/model_pass.hpp"
#include "collimate/nn/offloaded_parameters.hpp"
#include "collimate/plan/job_memory.hpp"
#include "layouts.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"
#include "support/tiny_model.hpp"
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
  // A CPU without bfloat16 products takes fifty times as long for them. In a small divided model messages weigh more.
  if (layout.dtype == ComputeDtype::kBFloat16 && layout.tensor == 1) {
    layout.global_batch_size = 2;
    layout.num_layers = 3;
  }
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
                                         layout.name(), expected.total(), text_of(expected), result.peak_bytes);
    EXPECT_NEAR(ratio(expected.total(), result.peak_bytes), 1.0, kTolerance) << what;
    // What comes and goes alone: the larger part of a large model's memory is not allowed to hide an error in it.
    const std::int64_t states = result.held_bytes.total();
    EXPECT_EQ(result.held_bytes[MemoryKind::kWeights], expected[MemoryKind::kWeights]) << what;
    EXPECT_EQ(result.held_bytes[MemoryKind::kOptimizer], expected[MemoryKind::kOptimizer]) << what;
    EXPECT_LE(result.held_bytes[MemoryKind::kGradients], expected[MemoryKind::kGradients]) << what;
    EXPECT_NEAR(ratio(expected.total() - states, result.peak_bytes - states), 1.0, kTolerance) << what;
  }
}

StreamSize largest_of(const std::vector<MicroBatch>& microbatches) {
  StreamSize largest;
  for (const MicroBatch& microbatch : microbatches) {
    const StreamSize size = stream_size(microbatch);
    largest.num_stream_tokens = std::max(largest.num_stream_tokens, size.num_stream_tokens);
    largest.num_labelled_rows = std::max(largest.num_labelled_rows, size.num_labelled_rows);
    largest.longest_segment = std::max(largest.longest_segment, size.longest_segment);
  }
  return largest;
}

// Some pairs through a layout's model, without a backward pass.
class ForwardRun {
 public:
  ForwardRun(const Layout& layout, const test::LayoutData& data)
      : layout_(layout),
        mesh_(environment(), environment(), mesh_shape(layout.parallel(), environment().world_size())),
        spec_(layout.spec()) {
    const BatchSource source(data.dataset,
                             packing_options({.microbatch_tokens = 1500}, mesh_.shape(), spec_, Responses::kBoth),
                             mesh_.coordinate().dp_rank);
    std::vector<std::uint64_t> pairs(static_cast<std::size_t>(layout.global_batch_size));
    std::iota(pairs.begin(), pairs.end(), std::uint64_t{0});
    microbatches_ = source.read_all(source.plan(pairs));
  }

  [[nodiscard]] ModelShard make_shard(const ParameterLoader& loader, bool resident) const {
    StageOptions options = stage_options(layout_.dtype, ShardUse::kForwardOnly, mesh_);
    options.resident = resident;
    return {spec_, shard_layout(layout_.parallel(), spec_, mesh_), loader, options};
  }
  // Log-probs of all responses, on ranks that have them.
  [[nodiscard]] std::vector<at::Tensor> evaluate(const ModelShard& shard) const {
    std::vector<at::Tensor> sums;
    ModelPass(shard, mesh_, layout_.parallel()).evaluate(microbatches_, [&](std::size_t, const ResponseLogProbs& own) {
      sums.push_back(own.sums);
      return at::Tensor();
    });
    return sums;
  }
  [[nodiscard]] MemoryUse planned(const ModelShard& shard, bool offloaded) const {
    return forward_memory({.spec = spec_,
                           .layout = shard.layout().pipeline,
                           .parallel = layout_.parallel(),
                           .shape = mesh_.shape(),
                           .place = mesh_.coordinate(),
                           .element_bytes = static_cast<std::int64_t>(c10::elementSize(shard.options().dtype)),
                           .offloaded = offloaded},
                          largest_of(microbatches_));
  }
  [[nodiscard]] std::string describe(const MemoryUse& expected, std::int64_t measured) const {
    return fmt::format("rank {} of {}: expected {} ({}), measured {}", environment().world_rank(), layout_.name(),
                       expected.total(), text_of(expected), measured);
  }
  [[nodiscard]] const ModelSpec& spec() const { return spec_; }
  [[nodiscard]] c10::Device device() const { return mesh_.device(); }

 private:
  Layout layout_;
  ProcessMesh mesh_;
  ModelSpec spec_;
  std::vector<MicroBatch> microbatches_;
};

TEST(MemoryTest, a_pass_without_a_backward_pass_takes_what_the_plan_says) {
  const TemporaryFolder folder;
  const test::LayoutData data = test::make_layout_data(folder.path().string(), 260);
  for (const Layout& some : layouts_of(environment().world_size())) {
    if (some.recompute != Recompute::kNone) continue;
    const ForwardRun run(wide(some), data);
    MemoryMeter meter(run.device());
    const ModelShard shard = run.make_shard(test::random_weights(3), true);
    meter.restart_peak();
    static_cast<void>(run.evaluate(shard));
    const MemoryUse expected = run.planned(shard, false);
    // Whether a message is still on its way when the next one comes is chance: the plan counts it.
    const std::string what = run.describe(expected, meter.peak_bytes());
    EXPECT_GE(ratio(expected.total(), meter.peak_bytes()), 1.0 - kTolerance) << what;
    EXPECT_LE(ratio(expected.total(), meter.peak_bytes()), 1.0 + 2.5 * kTolerance) << what;
  }
}

// Whole tensors in the host's memory, as a mapped file has them.
ParameterLoader host_weights(const ModelSpec& spec) {
  std::map<std::string, at::Tensor> weights;
  const WholeTensors random = test::random_tensors(3);
  for (const LogicalTensor& tensor : logical_tensors(spec)) weights.emplace(tensor.name, random(tensor));
  return parts_of([weights = std::move(weights)](const LogicalTensor& tensor) { return weights.at(tensor.name); });
}

TEST(MemoryTest, offloaded_weights_take_two_layers_and_give_the_same_bits) {
  const TemporaryFolder folder;
  const test::LayoutData data = test::make_layout_data(folder.path().string(), 260);
  for (const Layout& some : layouts_of(environment().world_size())) {
    if (some.recompute != Recompute::kNone) continue;
    const ForwardRun run(wide(some), data);
    const ParameterLoader weights = host_weights(run.spec());
    const std::vector<at::Tensor> expected_sums = run.evaluate(run.make_shard(weights, true));
    MemoryMeter meter(run.device());
    ModelShard shard = run.make_shard(weights, false);
    const OffloadedParameters offloaded(shard, weights);
    static_cast<void>(run.evaluate(shard));  // from the second pass on layers come in ahead
    const std::vector<at::Tensor> sums = run.evaluate(shard);
    const MemoryUse bound = run.planned(shard, true);
    EXPECT_LE(ratio(meter.peak_bytes(), bound.total()), 1.0 + kTolerance) << run.describe(bound, meter.peak_bytes());
    ASSERT_EQ(sums.size(), expected_sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) EXPECT_TRUE(sums[i].equal(expected_sums[i]));
  }
}

}  // namespace
}  // namespace collimate
