#include "collimate/model/logical_tensor.hpp"

#include <set>

#include <gmock/gmock.h>

#include "support/tiny_spec.hpp"

namespace collimate {
namespace {

using testing::Contains;
using testing::Not;

// Head size times heads is not the hidden size, so that no dim can stand for another.
ModelSpec small_spec() {
  ModelSpec spec = test::tiny_spec();
  spec.head_dim = 8;
  return spec;
}

auto named(const std::string& name) { return testing::Field(&LogicalTensor::name, name); }

TEST(LogicalTensorTest, a_plain_model_has_the_tensors_of_hugging_face) {
  const std::vector<LogicalTensor> tensors = logical_tensors(small_spec());
  EXPECT_EQ(tensors.size(), 1 + 2 * 9 + 2);
  EXPECT_EQ(tensors.front(), (LogicalTensor{"model.embed_tokens.weight", {29, 24}}));
  EXPECT_EQ(tensors.back(), (LogicalTensor{"lm_head.weight", {29, 24}}));
  EXPECT_THAT(tensors, Contains(LogicalTensor{"model.layers.0.self_attn.q_proj.weight", {32, 24}}));
  EXPECT_THAT(tensors, Contains(LogicalTensor{"model.layers.1.self_attn.k_proj.weight", {16, 24}}));
  EXPECT_THAT(tensors, Contains(LogicalTensor{"model.layers.1.self_attn.o_proj.weight", {24, 32}}));
  EXPECT_THAT(tensors, Contains(LogicalTensor{"model.layers.0.mlp.down_proj.weight", {24, 40}}));
  EXPECT_THAT(tensors, Contains(LogicalTensor{"model.norm.weight", {24}}));
  std::set<std::string> names;
  for (const LogicalTensor& tensor : tensors) names.insert(tensor.name);
  EXPECT_EQ(names.size(), tensors.size());
}

TEST(LogicalTensorTest, options_add_their_tensors) {
  ModelSpec spec = small_spec();
  spec.qkv_bias = true;
  spec.qk_norm = true;
  const std::vector<LogicalTensor> layer = layer_tensors(spec, 1);
  EXPECT_THAT(layer, Contains(LogicalTensor{"model.layers.1.self_attn.v_proj.bias", {16}}));
  EXPECT_THAT(layer, Contains(LogicalTensor{"model.layers.1.self_attn.q_norm.weight", {8}}));
  EXPECT_THAT(layer, Not(Contains(named("model.layers.1.self_attn.o_proj.bias"))));
  spec.attention_output_bias = true;
  spec.mlp_bias = true;
  EXPECT_THAT(layer_tensors(spec, 0), Contains(LogicalTensor{"model.layers.0.self_attn.o_proj.bias", {24}}));
  EXPECT_THAT(layer_tensors(spec, 0), Contains(LogicalTensor{"model.layers.0.mlp.gate_proj.bias", {40}}));
}

TEST(LogicalTensorTest, tied_embeddings_have_no_head) {
  ModelSpec spec = small_spec();
  spec.tie_word_embeddings = true;
  EXPECT_THAT(logical_tensors(spec), Not(Contains(named(kHeadName))));
}

}  // namespace
}  // namespace collimate
