#include "collimate/store/initialize.hpp"

#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/model_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

class InitializeTest : public ::testing::Test {
 protected:
  InitializeTest() {
    auto config = tiny_config();
    config["attention_bias"] = true;
    config["hidden_size"] = 64;
    config["vocab_size"] = 512;
    write_bytes(path_, config.dump());
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path() / "tiny.json";
};

TEST_F(InitializeTest, follows_the_convention_for_matrices_norms_and_biases) {
  const RandomWeights weights(path_, 3);
  const at::Tensor embedding = weights.load("model.embed_tokens.weight", at::kDouble);
  EXPECT_NEAR(embedding.mean().item<double>(), 0.0, 0.0005);
  EXPECT_NEAR(embedding.std().item<double>(), 0.02, 0.0005);
  EXPECT_TRUE(weights.load("model.layers.1.input_layernorm.weight", at::kFloat).eq(1).all().item<bool>());
  EXPECT_TRUE(weights.load("model.norm.weight", at::kFloat).eq(1).all().item<bool>());
  EXPECT_TRUE(weights.load("model.layers.0.self_attn.q_proj.bias", at::kFloat).eq(0).all().item<bool>());
}

TEST_F(InitializeTest, is_a_function_of_seed_and_name_whatever_the_threads) {
  const char* const name = "model.layers.0.mlp.up_proj.weight";
  const at::Tensor first = RandomWeights(path_, 3).load("model.embed_tokens.weight", at::kFloat);
  const int num_threads = at::get_num_threads();
  at::set_num_threads(num_threads == 1 ? 3 : 1);
  EXPECT_TRUE(RandomWeights(path_, 3).load("model.embed_tokens.weight", at::kFloat).equal(first));
  at::set_num_threads(num_threads);
  EXPECT_FALSE(RandomWeights(path_, 4).load("model.embed_tokens.weight", at::kFloat).equal(first));
  EXPECT_FALSE(RandomWeights(path_, 3)
                   .load(name, at::kFloat)
                   .equal(RandomWeights(path_, 3).load("model.layers.1.mlp.up_proj.weight", at::kFloat)));
}

TEST_F(InitializeTest, gives_the_same_values_in_every_dtype) {
  const RandomWeights weights(path_, 3);
  const at::Tensor as_float = weights.load("lm_head.weight", at::kFloat);
  EXPECT_TRUE(weights.load("lm_head.weight", at::kDouble).equal(as_float.to(at::kDouble)));
}

TEST_F(InitializeTest, fingerprint_follows_the_seed) {
  EXPECT_EQ(RandomWeights(path_, 3).weights_fingerprint(), RandomWeights(path_, 3).weights_fingerprint());
  EXPECT_NE(RandomWeights(path_, 3).weights_fingerprint(), RandomWeights(path_, 4).weights_fingerprint());
}

TEST_F(InitializeTest, is_opened_by_the_configuration_only_when_asked_for) {
  ModelConfig config;
  config.config = path_;
  EXPECT_THAT([&] { open_model_source(config); }, throws<InputError>(::testing::HasSubstr("initialize: random")));
  config.initialize = ModelInitialize::kRandom;
  config.init_seed = 3;
  EXPECT_EQ(open_model_source(config)->weights_fingerprint(), RandomWeights(path_, 3).weights_fingerprint());
}

}  // namespace
}  // namespace collimate
