#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/plan/job_memory.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

// Full microbatches: one for each 4096 tokens of a data rank's share.
std::vector<StreamSize> full_step(const RunConfig& config, const MeshShape& /*shape*/) {
  const std::int64_t tokens = config.batch.microbatch_tokens;
  const std::size_t num_microbatches = static_cast<std::size_t>(std::max<std::int64_t>(1, 8192 / tokens));
  const StreamSize full{.num_stream_tokens = tokens, .num_labelled_rows = tokens, .longest_segment = tokens};
  return std::vector<StreamSize>(num_microbatches, full);
}

ModelSpec spec_of(std::int64_t hidden_size) {
  ModelSpec spec = test::tiny_spec();
  spec.hidden_size = hidden_size;
  spec.intermediate_size = 3 * hidden_size;
  spec.num_layers = 8;
  spec.windowed_layers.assign(8, false);
  return spec;
}

RunConfig config_of(ParallelConfig parallel) {
  RunConfig config;
  config.parallel = parallel;
  return config;
}

std::int64_t largest(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape) {
  std::int64_t bytes = 0;
  for (const RankMemory& rank : job_memory(config, spec, shape, full_step(config, shape))) {
    bytes = std::max(bytes, rank.peak());
  }
  return bytes;
}

TEST(NearestFitTest, recomputation_comes_before_anything_larger_where_activations_are_most) {
  const ModelSpec spec = spec_of(24);
  const RunConfig config = config_of({});
  RunConfig selective = config;
  selective.model.recompute = Recompute::kSelective;
  const auto change = nearest_fit(config, spec, {}, full_step, largest(selective, spec, {}));
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->settings, "model.recompute: selective");
  EXPECT_EQ(change->bytes, largest(selective, spec, {}));
}

TEST(NearestFitTest, settings_are_taken_together_where_none_alone_is_enough) {
  const ModelSpec spec = spec_of(96);
  const RunConfig config = config_of({.data = 2});
  const MeshShape shape{.data = 2};
  RunConfig all = config;
  all.model.recompute = Recompute::kFull;
  all.parallel.zero_stage = 2;
  all.batch.microbatch_tokens /= 4;
  all.checkpoint.asynchronous = false;
  const auto change = nearest_fit(config, spec, shape, full_step, largest(all, spec, shape));
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->settings,
            "parallel.zero_stage: 2, model.recompute: full, batch.microbatch_tokens: 1024, "
            "checkpoint.asynchronous: false");
}

TEST(NearestFitTest, a_run_that_fits_but_for_its_copies_saves_synchronously) {
  const ModelSpec spec = spec_of(384);
  RunConfig config = config_of({});
  config.batch.microbatch_tokens = 1;
  const RankMemory asked = rank_memory(config, spec, {}, 0, full_step(config, {}));
  EXPECT_GT(asked.copies, asked.peak_without_copies() / 2);  // 12 of at least 16 bytes a parameter
  const auto change = nearest_fit(config, spec, {}, full_step, asked.peak_without_copies());
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->settings, "checkpoint.asynchronous: false");
  config.checkpoint.buffer_bytes = 1000;
  EXPECT_EQ(rank_memory(config, spec, {}, 0, full_step(config, {})).copies, 1000);
}

TEST(NearestFitTest, a_model_that_fits_no_rank_is_divided_among_the_data_ranks) {
  const ModelSpec spec = spec_of(384);
  RunConfig config = config_of({.data = 4, .zero_stage = 2});
  config.model.recompute = Recompute::kFull;
  config.batch.microbatch_tokens = 1;
  const MeshShape shape{.data = 4};
  RunConfig halved = config;
  halved.parallel.data = halved.parallel.tensor = 2;
  const auto change = nearest_fit(config, spec, shape, full_step, largest(halved, spec, {.data = 2, .tensor = 2}));
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->settings, "parallel.tensor: 2, parallel.data: 2");
}

TEST(NearestFitTest, nothing_is_said_to_fit_that_does_not) {
  EXPECT_FALSE(nearest_fit(config_of({}), spec_of(24), {}, full_step, 1000).has_value());
}

TEST(JobMemoryTest, a_rank_is_described_by_what_it_has) {
  const RunConfig config = config_of({});
  const RankMemory rank = rank_memory(config, spec_of(24), {}, 0, full_step(config, {}));
  EXPECT_THAT(text_of(rank),
              testing::MatchesRegex(".* MiB in a step \\(weights .*, gradients .*, optimizer .*, "
                                    "activations .*\\), .* before it, up to .* MiB more while a checkpoint is "
                                    "written"));
  EXPECT_EQ(text_of_bytes(3 * 1024 * 1024 / 2), "1.5 MiB");
  EXPECT_EQ(text_of_bytes(std::int64_t{5} * 1024 * 1024 * 1024), "5.0 GiB");
}

}  // namespace
}  // namespace collimate
