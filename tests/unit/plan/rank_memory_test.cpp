#include "collimate/plan/rank_memory.hpp"

#include <vector>

#include <gtest/gtest.h>

#include "collimate/optim/shard_plan.hpp"
#include "collimate/optim/state_memory.hpp"
#include "collimate/pipeline/generate.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

const std::vector<StreamSize> kStreams{{.num_stream_tokens = 37, .num_labelled_rows = 20, .longest_segment = 15},
                                       {.num_stream_tokens = 31, .num_labelled_rows = 12, .longest_segment = 9},
                                       {},
                                       {.num_stream_tokens = 8, .num_labelled_rows = 4, .longest_segment = 8}};

struct Case {
  ModelSpec spec = test::tiny_spec();
  ParallelConfig parallel;
  Recompute recompute = Recompute::kNone;
  std::int64_t element_bytes = 4;
  DeviceType device = DeviceType::kCpu;
};

PipelineLayout layout_of(const Case& some) {
  PipelineLayout layout;
  const ParallelConfig& parallel = some.parallel;
  layout.rank_of_stage = place_stages(parallel.schedule, parallel.pipeline, parallel.virtual_stages);
  layout.stages = split_stages(some.spec, layout.rank_of_stage, {});
  return layout;
}

template <class Formula>
MemoryUse with_inputs(const Case& some, Coordinate place, const Formula& formula) {
  const PipelineLayout layout = layout_of(some);
  return formula(MemoryInputs{.spec = some.spec,
                              .layout = layout,
                              .parallel = some.parallel,
                              .shape = mesh_shape(some.parallel, default_num_ranks(some.parallel)),
                              .place = place,
                              .recompute = some.recompute,
                              .element_bytes = some.element_bytes,
                              .device = some.device});
}

MemoryUse memory_of(const Case& some, Coordinate place = {}, const std::vector<StreamSize>& streams = kStreams) {
  return with_inputs(some, place, [&](const MemoryInputs& inputs) { return step_memory(inputs, streams); });
}

MemoryUse forward_memory_of(const Case& some, Coordinate place) {
  return with_inputs(some, place, [](const MemoryInputs& inputs) { return forward_memory(inputs, kStreams.front()); });
}

// step_memory itself throws where what is held and what is let go of do not add up.
void expect_balance(Case some) {
  for (const Recompute recompute : {Recompute::kNone, Recompute::kSelective, Recompute::kFull}) {
    for (const auto& [element_bytes, device] : {std::pair{2, DeviceType::kCpu},
                                                {4, DeviceType::kCpu},
                                                {8, DeviceType::kCpu},
                                                {2, DeviceType::kCuda},
                                                {4, DeviceType::kCuda}}) {
      some.recompute = recompute;
      some.element_bytes = element_bytes;
      some.device = device;
      for (int pp_rank = 0; pp_rank < some.parallel.pipeline; ++pp_rank) {
        const MemoryUse use = memory_of(some, {.pp_rank = pp_rank});
        for (const std::int64_t bytes : use.bytes) EXPECT_GE(bytes, 0);
        EXPECT_GT(use[MemoryKind::kActivations], 0);
        const MemoryUse scoring = forward_memory_of(some, {.pp_rank = pp_rank});
        EXPECT_LT(scoring.total(), use.total());
      }
    }
  }
}

TEST(RankMemoryTest, every_schedule_axis_and_option_lets_go_of_what_it_holds) {
  for (const bool has_all_options : {false, true}) {
    for (const auto& [schedule, virtual_stages] : {std::pair{ScheduleType::kGpipe, 1},
                                                   {ScheduleType::k1f1b, 1},
                                                   {ScheduleType::kInterleaved, 2},
                                                   {ScheduleType::kZbH1, 1},
                                                   {ScheduleType::kZbv, 2}}) {
      for (const int pipeline : {1, 2, 3}) {
        for (const auto& [tensor, sequence_parallel] : {std::pair{1, true}, {2, true}, {2, false}}) {
          Case some{.spec = has_all_options ? test::tiny_spec_with_all_options() : test::tiny_spec()};
          some.spec.num_layers = 7;
          some.spec.windowed_layers.assign(7, false);
          some.parallel = {.data = 2,
                           .pipeline = pipeline,
                           .tensor = tensor,
                           .sequence_parallel = sequence_parallel,
                           .schedule = schedule,
                           .virtual_stages = virtual_stages,
                           .zero_stage = 2};
          expect_balance(some);
        }
      }
    }
  }
}

// What docs/parallelism.md says is kept of a layer and token: 4 h + 2 q + 2 kv + 3 f elements, selective 2 h + 2 q + 2
// kv + 2 f, full 2 h; the log-sum-exps and 1 / rms besides.
TEST(RankMemoryTest, a_layer_keeps_the_elements_of_the_formulas) {
  const auto kept_of_a_layer = [](Recompute recompute) {
    const auto kept = [&](std::int64_t num_layers) {
      ModelSpec spec = test::tiny_spec();
      spec.num_layers = num_layers;
      MemoryTape tape;
      StageMemory(spec, whole_model(spec), {}, recompute, 4).forward(tape, kStreams.front());
      return tape.live()[MemoryKind::kActivations];
    };
    return (kept(5) - kept(4)) / (4 * kStreams.front().num_stream_tokens);
  };
  constexpr std::int64_t kStatistics = 4 + 2;  // log-sum-exp by head, and two norms
  EXPECT_EQ(kept_of_a_layer(Recompute::kNone), 4 * 24 + 2 * 24 + 2 * 12 + 3 * 40 + kStatistics);
  EXPECT_EQ(kept_of_a_layer(Recompute::kSelective), 2 * 24 + 2 * 24 + 2 * 12 + 2 * 40 + kStatistics);
  EXPECT_EQ(kept_of_a_layer(Recompute::kFull), 2 * 24);
}

TEST(RankMemoryTest, a_gpu_has_more_rows_of_logits_at_a_time_in_one_dtype) {
  Case some{.element_bytes = 2};
  some.spec.vocab_size = 1024 * 1024;
  const auto head = [&](DeviceType device) {
    some.device = device;
    return forward_memory_of(some, {})[MemoryKind::kHead];
  };
  // All 20 labelled rows, 2 bytes a logit; on a CPU 4 rows at a time, 6 bytes. Hidden states of a chunk; indices, sums
  // and statistics of all rows.
  const std::int64_t of_rows = 20 * (3 * 8 + 4 + 8 + 3 * 8);
  EXPECT_EQ(head(DeviceType::kCuda), 20 * ((std::int64_t{2} * 1024 * 1024) + 24 * 2) + of_rows);
  EXPECT_EQ(head(DeviceType::kCpu), 4 * ((std::int64_t{6} * 1024 * 1024) + 24 * 2) + of_rows);
}

TEST(RankMemoryTest, the_data_axis_divides_the_optimizer_and_at_stage_2_gradients) {
  const ModelSpec spec = test::tiny_spec();
  const auto parameters = planned_parameters(rank_tensors(spec, one_stage(spec), 0, {}));
  for (const int num_ranks : {1, 2, 3, 8}) {
    const ShardPlan plan(parameters, num_ranks, 1500);
    const auto bytes = [&](int zero_stage) {
      return state_bytes(plan, {.zero_stage = zero_stage, .element_bytes = 2});
    };
    const std::int64_t all = plan.flat_elements();
    EXPECT_EQ(bytes(0)[MemoryKind::kOptimizer], 12 * all);
    EXPECT_EQ(bytes(1)[MemoryKind::kOptimizer] * num_ranks, 12 * all);
    EXPECT_EQ(bytes(1)[MemoryKind::kGradients], 4 * all);
    EXPECT_EQ(bytes(2)[MemoryKind::kGradients] * num_ranks, 4 * all);
    EXPECT_EQ(bytes(2)[MemoryKind::kWeights], 2 * all);
  }
}

TEST(RankMemoryTest, zero_bubble_holds_more_than_1f1b_and_gpipe_most) {
  const std::vector<StreamSize> streams(8, kStreams.front());
  const auto activations = [&](ScheduleType schedule) {
    Case some{.parallel = {.pipeline = 2, .schedule = schedule}};
    return memory_of(some, {.pp_rank = 1}, streams)[MemoryKind::kActivations];
  };
  EXPECT_GT(activations(ScheduleType::kZbH1), activations(ScheduleType::k1f1b));
  EXPECT_GT(activations(ScheduleType::kGpipe), activations(ScheduleType::kZbH1));
}

TEST(MemoryTapeTest, the_peak_is_what_was_held_at_the_worst_moment) {
  MemoryTape tape;
  tape.hold(MemoryKind::kWeights, 10);
  tape.use(MemoryKind::kHead, 7);
  tape.hold(MemoryKind::kActivations, 5);
  tape.release(MemoryKind::kActivations, 5);
  EXPECT_EQ(tape.peak().total(), 17);
  EXPECT_EQ(tape.peak()[MemoryKind::kHead], 7);
  EXPECT_EQ(tape.peak()[MemoryKind::kActivations], 0);
  EXPECT_EQ(tape.live().total(), 10);
}

}  // namespace
}  // namespace collimate
