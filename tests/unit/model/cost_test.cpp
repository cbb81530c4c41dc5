#include "collimate/model/cost.hpp"

#include <gtest/gtest.h>

#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

using test::tiny_spec;

TEST(ModelCostTest, parameters_are_counted_once) {
  constexpr std::int64_t kEmbedding = 29L * 24;
  constexpr std::int64_t kLayer = 24L * (24 + 2 * 12 + 24) + 3L * 24 * 40 + 2L * 24;
  EXPECT_EQ(num_parameters(tiny_spec()), 2 * kEmbedding + 2 * kLayer + 24);
  ModelSpec tied = tiny_spec();
  tied.tie_word_embeddings = true;
  EXPECT_EQ(num_parameters(tied), kEmbedding + 2 * kLayer + 24);
}

TEST(ModelCostTest, flops_count_matrices_visible_keys_and_labelled_rows) {
  const ForwardFlops flops = forward_flops(
      tiny_spec(), {.num_tokens = 10, .num_labelled_rows = 7, .num_attended_keys = 55, .num_windowed_keys = 30});
  EXPECT_EQ(flops.projections, 2.0 * 10 * 2 * (24 * (24 + 2 * 12 + 24) + 3 * 24 * 40));
  EXPECT_EQ(flops.attention, 2 * 55 * 2.0 * 2 * 24);
  EXPECT_EQ(flops.head, 2.0 * 7 * 29 * 24);
  EXPECT_EQ(flops.total(), flops.projections + flops.attention + flops.head);
}

TEST(ModelCostTest, windowed_layers_count_the_keys_of_their_window) {
  ModelSpec spec = tiny_spec();
  spec.sliding_window = 4;
  spec.windowed_layers = {true, false};
  const ForwardFlops flops =
      forward_flops(spec, {.num_tokens = 10, .num_labelled_rows = 7, .num_attended_keys = 55, .num_windowed_keys = 30});
  EXPECT_EQ(flops.attention, (55 + 30) * 2.0 * 2 * 24);
}

}  // namespace
}  // namespace collimate
