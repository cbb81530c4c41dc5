#include "collimate/model/placement.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"
#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

ModelSpec spec_with(std::int64_t num_heads, std::int64_t num_kv_heads) {
  ModelSpec spec = test::tiny_spec_with_all_options();
  spec.num_heads = num_heads;
  spec.num_kv_heads = num_kv_heads;
  return spec;
}

/// The part of the tensor of layer 0 with this name.
Placement place(const ModelSpec& spec, std::string_view suffix, const TensorShard& shard) {
  const std::string name = layer_tensor_name(0, suffix);
  const std::vector<LogicalTensor> tensors = layer_tensors(spec, 0);
  const auto tensor = std::ranges::find(tensors, name, &LogicalTensor::name);
  check(tensor != tensors.end(), "the layer has the tensor");
  return place_tensor(spec, *tensor, shard);
}

TEST(PlacementTest, one_rank_holds_everything_whole) {
  const ModelSpec spec = test::tiny_spec_with_all_options();
  for (const LogicalTensor& tensor : logical_tensors(spec)) {
    const Placement placement = place_tensor(spec, tensor, {});
    EXPECT_EQ(part_shape(tensor, placement), tensor.shape) << tensor.name;
    EXPECT_EQ(placement.range.begin, 0) << tensor.name;
    EXPECT_EQ(placement.gradient_sum, GradientSum::kNone) << tensor.name;
    EXPECT_TRUE(placement.is_primary) << tensor.name;
  }
}

TEST(PlacementTest, columns_of_a_second_matrix_are_the_rows_of_the_first) {
  ModelSpec spec = spec_with(8, 2);
  spec.intermediate_size = 41;  // no degree divides it
  for (const int tp_size : {2, 4, 8}) {
    for (int tp_rank = 0; tp_rank < tp_size; ++tp_rank) {
      const TensorShard shard{.tp_rank = tp_rank, .tp_size = tp_size};
      const Placement down = place(spec, "mlp.down_proj.weight", shard);
      EXPECT_EQ(down.dim, 1);
      EXPECT_EQ(place(spec, "self_attn.o_proj.weight", shard).dim, 1);
      EXPECT_EQ(place(spec, "self_attn.o_proj.weight", shard).range,
                place(spec, "self_attn.q_proj.weight", shard).range);
      EXPECT_EQ(down.range, place(spec, "mlp.gate_proj.weight", shard).range);
      EXPECT_EQ(down.range, place(spec, "mlp.up_proj.bias", shard).range);
    }
  }
}

TEST(PlacementTest, every_query_head_finds_its_kv_head_on_its_own_rank) {
  for (const std::int64_t num_kv_heads : {1, 2, 4, 8}) {
    const ModelSpec spec = spec_with(8, num_kv_heads);
    for (const int tp_size : {1, 2, 4, 8}) {
      for (int tp_rank = 0; tp_rank < tp_size; ++tp_rank) {
        const TensorShard shard{.tp_rank = tp_rank, .tp_size = tp_size};
        const ShardRange queries = place(spec, "self_attn.q_proj.weight", shard).range;
        const ShardRange keys = place(spec, "self_attn.k_proj.weight", shard).range;
        for (std::int64_t row = queries.begin; row < queries.begin + queries.length; row += spec.head_dim) {
          const std::int64_t kv_head = row / spec.head_dim * num_kv_heads / spec.num_heads;
          EXPECT_GE(kv_head * spec.head_dim, keys.begin) << num_kv_heads << " kv heads, rank " << tp_rank;
          EXPECT_LE((kv_head + 1) * spec.head_dim, keys.begin + keys.length) << num_kv_heads << " kv heads";
        }
      }
    }
  }
}

TEST(PlacementTest, neighbours_share_a_kv_head_where_there_are_fewer_than_ranks) {
  const ModelSpec spec = spec_with(8, 2);
  EXPECT_EQ(num_kv_replicas(spec, 2), 1);
  EXPECT_EQ(num_kv_replicas(spec, 4), 2);
  EXPECT_EQ(num_kv_replicas(spec, 8), 4);
  for (const char* suffix : {"self_attn.k_proj.weight", "self_attn.v_proj.weight", "self_attn.k_proj.bias"}) {
    for (int tp_rank = 0; tp_rank < 8; ++tp_rank) {
      EXPECT_EQ(place(spec, suffix, {.tp_rank = tp_rank, .tp_size = 8}),
                (Placement{.dim = 0,
                           .range = {.begin = tp_rank < 4 ? 0 : spec.head_dim, .length = spec.head_dim},
                           .gradient_sum = GradientSum::kKvReplicas,
                           .is_primary = tp_rank % 4 == 0}))
          << suffix << ", rank " << tp_rank;
    }
    EXPECT_EQ(place(spec, suffix, {.tp_rank = 1, .tp_size = 2}).gradient_sum, GradientSum::kNone);
  }
}

TEST(PlacementTest, a_vocabulary_that_does_not_divide_gives_the_first_ranks_more) {
  const ModelSpec spec = test::tiny_spec();
  for (const char* name : {kEmbeddingName, kHeadName}) {
    const LogicalTensor tensor{name, {29, 24}};
    const Placement first = place_tensor(spec, tensor, {.tp_rank = 0, .tp_size = 4});
    EXPECT_EQ(part_shape(tensor, first), (std::vector<std::int64_t>{8, 24}));
    const Placement last = place_tensor(spec, tensor, {.tp_rank = 3, .tp_size = 4});
    EXPECT_EQ(last, (Placement{.dim = 0, .range = {.begin = 22, .length = 7}}));
  }
}

TEST(PlacementTest, gradients_of_the_residual_stream_are_sums_with_sequence_parallelism_only) {
  const ModelSpec spec = spec_with(4, 2);
  for (const bool sequence_parallel : {false, true}) {
    const GradientSum expected = sequence_parallel ? GradientSum::kTensor : GradientSum::kNone;
    for (int tp_rank = 0; tp_rank < 2; ++tp_rank) {
      const TensorShard shard{.tp_rank = tp_rank, .tp_size = 2, .sequence_parallel = sequence_parallel};
      const Placement whole{.gradient_sum = expected, .is_primary = tp_rank == 0};
      for (const char* suffix : {"input_layernorm.weight", "post_attention_layernorm.weight", "self_attn.o_proj.bias",
                                 "mlp.down_proj.bias"}) {
        EXPECT_EQ(place(spec, suffix, shard), whole) << suffix;
      }
      EXPECT_EQ(place_tensor(spec, {kFinalNormName, {24}}, shard), whole);
    }
  }
}

TEST(PlacementTest, gradients_of_head_norms_are_sums_always) {
  const ModelSpec spec = spec_with(4, 2);
  for (const bool sequence_parallel : {false, true}) {
    for (const char* suffix : {"self_attn.q_norm.weight", "self_attn.k_norm.weight"}) {
      EXPECT_EQ(place(spec, suffix, {.tp_rank = 1, .tp_size = 4, .sequence_parallel = sequence_parallel}),
                (Placement{.gradient_sum = GradientSum::kTensor, .is_primary = false}));
    }
  }
}

TEST(PlacementTest, a_name_without_a_rule_is_refused) {
  EXPECT_THROW(place_tensor(test::tiny_spec(), {"model.layers.0.mlp.experts.weight", {4, 4}}, {}), InvariantError);
}

TEST(TensorDegreeTest, those_that_divide_heads_and_fit_kv_heads_are_accepted_and_no_others) {
  const ModelSpec spec = spec_with(12, 4);
  const std::vector<int> fitting = {1, 2, 4, 12};
  for (int degree = 1; degree <= 30; ++degree) {
    if (std::ranges::find(fitting, degree) != fitting.end()) {
      EXPECT_NO_THROW(require_tensor_degree(spec, degree)) << degree;
    } else {
      EXPECT_THAT([&] { require_tensor_degree(spec, degree); },
                  throws<InputError>(AllOf(StartsWith(fmt::format("parallel.tensor: {}: it", degree)),
                                           EndsWith("; degrees that fit this model: 1, 2, 4, 12"))));
    }
  }
}

TEST(TensorDegreeTest, all_that_does_not_fit_is_told_at_once) {
  EXPECT_THAT([] { require_tensor_degree(test::tiny_spec(), 3); },
              throws<InputError>("parallel.tensor: 3: it does not divide the 4 attention heads, and it neither divides "
                                 "the 2 key/value heads nor is a multiple of them; degrees that fit this model: 1, 2, "
                                 "4"));
}

TEST(TensorDegreeTest, a_small_vocabulary_or_mlp_bounds_the_degree) {
  ModelSpec spec = test::tiny_spec();
  spec.vocab_size = 3;
  EXPECT_THAT(
      [&] { require_tensor_degree(spec, 4); },
      throws<InputError>("parallel.tensor: 4: the vocabulary has 3 entries; degrees that fit this model: 1, 2"));
  spec.vocab_size = 29;
  spec.intermediate_size = 2;
  EXPECT_THAT([&] { require_tensor_degree(spec, 4); },
              throws<InputError>(HasSubstr("the MLP has 2 neurons; degrees that fit this model: 1, 2")));
}

}  // namespace
}  // namespace collimate
