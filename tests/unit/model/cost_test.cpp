#include "collimate/model/cost.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

// The model of docs/performance.md.
ModelSpec bench_spec() {
  ModelSpec spec;
  spec.vocab_size = 8192;
  spec.hidden_size = 384;
  spec.intermediate_size = 1024;
  spec.num_layers = 6;
  spec.num_heads = 6;
  spec.num_kv_heads = 2;
  spec.head_dim = 64;
  spec.windowed_layers.assign(6, false);
  return spec;
}

TEST(ModelCostTest, parameters_are_counted_once) {
  // 2 x 8192 x 384 + 6 x (384 x (384 + 2 x 128 + 384) + 3 x 384 x 1024 + 2 x 384) + 384
  EXPECT_EQ(num_parameters(bench_spec()), 15'733'632);
  ModelSpec tied = bench_spec();
  tied.tie_word_embeddings = true;
  EXPECT_EQ(num_parameters(tied), 15'733'632 - 8192 * 384);
}

TEST(ModelCostTest, flops_count_matrices_visible_keys_and_labelled_rows) {
  const ForwardFlops flops = forward_flops(
      bench_spec(), {.num_tokens = 10, .num_labelled_rows = 7, .num_attended_keys = 55, .num_windowed_keys = 30});
  EXPECT_EQ(flops.projections, 2.0 * 10 * 6 * (384 * (384 + 2 * 128 + 384) + 3 * 384 * 1024));
  EXPECT_EQ(flops.attention, 6 * 55 * 2.0 * 2 * 384);
  EXPECT_EQ(flops.head, 2.0 * 7 * 8192 * 384);
  EXPECT_EQ(flops.total(), flops.projections + flops.attention + flops.head);
}

TEST(ModelCostTest, windowed_layers_count_the_keys_of_their_window) {
  ModelSpec spec = bench_spec();
  spec.sliding_window = 4;
  spec.windowed_layers = {true, false, true, false, false, false};
  const ForwardFlops flops =
      forward_flops(spec, {.num_tokens = 10, .num_labelled_rows = 7, .num_attended_keys = 55, .num_windowed_keys = 30});
  EXPECT_EQ(flops.attention, (4 * 55 + 2 * 30) * 2.0 * 2 * 384);
}

}  // namespace
}  // namespace collimate
