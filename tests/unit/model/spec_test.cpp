#include "collimate/model/spec.hpp"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "collimate/model/family.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

json config_of(const std::string& model_type) {
  return {{"model_type", model_type}, {"vocab_size", 100},        {"hidden_size", 64},       {"intermediate_size", 160},
          {"num_hidden_layers", 4},   {"num_attention_heads", 4}, {"num_key_value_heads", 2}};
}

json with(json config, const json& changes) {
  config.update(changes);
  return config;
}

ModelSpec parse(const json& config) { return parse_model_config(config.dump(), "m/config.json"); }

void expect_refused(const json& config, const std::string& message) {
  EXPECT_THAT([&] { parse(config); }, throws<InputError>(HasSubstr("m/config.json: " + message))) << config;
}

TEST(ModelSpecTest, missing_keys_get_the_defaults_of_the_family) {
  json config = config_of("llama");
  config.erase("num_key_value_heads");
  const ModelSpec llama = parse(config);
  EXPECT_EQ(llama.architecture, "LlamaForCausalLM");
  EXPECT_EQ(llama.num_kv_heads, 4);
  EXPECT_EQ(llama.head_dim, 16);
  EXPECT_EQ(llama.max_position_embeddings, 2048);
  EXPECT_EQ(llama.rms_norm_eps, 1e-6);
  EXPECT_EQ(llama.rope, RopeSpec{});
  EXPECT_FALSE(llama.tie_word_embeddings || llama.qkv_bias || llama.attention_output_bias || llama.mlp_bias);
  EXPECT_EQ(llama.window_of_layer(0), std::nullopt);
  EXPECT_EQ(llama.declared_dtype, std::nullopt);

  EXPECT_EQ(parse(config_of("mistral")).window_of_layer(3), 4096);
  EXPECT_TRUE(parse(config_of("qwen2")).qkv_bias);
  EXPECT_FALSE(parse(config_of("qwen2")).attention_output_bias);
  EXPECT_TRUE(parse(config_of("qwen3")).qk_norm);
  EXPECT_EQ(parse(config_of("qwen3")).head_dim, 128);
}

TEST(ModelSpecTest, a_missing_kv_head_count_is_the_default_and_null_means_as_many_as_heads) {
  json config = with(config_of("mistral"), {{"num_attention_heads", 16}});
  config.erase("num_key_value_heads");
  EXPECT_EQ(parse(config).num_kv_heads, 8);
  config["num_key_value_heads"] = nullptr;
  EXPECT_EQ(parse(config).num_kv_heads, 16);
  json small = config_of("qwen2");
  small.erase("num_key_value_heads");
  expect_refused(small, "num_key_value_heads: missing: must be given: its default 32 does not divide");
}

TEST(ModelSpecTest, both_spellings_give_the_same_model) {
  const json scaling{{"rope_type", "llama3"},
                     {"factor", 8.0},
                     {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0},
                     {"original_max_position_embeddings", 8192}};
  const json four =
      with(config_of("llama"), {{"rope_theta", 500000.0}, {"rope_scaling", scaling}, {"torch_dtype", "bfloat16"}});
  const json five =
      with(config_of("llama"), {{"rope_parameters", with(scaling, {{"rope_theta", 500000.0}})}, {"dtype", "bfloat16"}});
  EXPECT_EQ(parse(four), parse(five));
  EXPECT_EQ(parse(five).rope, (RopeSpec{.theta = 500000.0,
                                        .scaling = RopeScaling::kLlama3,
                                        .factor = 8.0,
                                        .low_freq_factor = 1.0,
                                        .high_freq_factor = 4.0,
                                        .original_max_position_embeddings = 8192}));
  EXPECT_EQ(parse(five).declared_dtype, "bfloat16");
}

TEST(ModelSpecTest, rope_takes_the_precedence_of_transformers) {
  const json linear{{"type", "linear"}, {"factor", 2}};
  EXPECT_EQ(parse(with(config_of("llama"), {{"rope_scaling", linear}})).rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(parse(with(config_of("llama"), {{"rope_scaling", nullptr}})).rope, RopeSpec{});
  const json plain{{"rope_type", "default"}, {"rope_theta", 7.0}};
  const RopeSpec both =
      parse(with(config_of("llama"), {{"rope_theta", 5.0}, {"rope_scaling", linear}, {"rope_parameters", plain}})).rope;
  EXPECT_EQ(both.scaling, RopeScaling::kLinear);
  EXPECT_EQ(both.theta, 5.0);
  EXPECT_EQ(parse(with(config_of("llama"), {{"rope_theta", 5.0}, {"rope_parameters", plain}})).rope.theta, 7.0);

  const json llama3{{"rope_type", "llama3"}, {"factor", 8}, {"low_freq_factor", 1}, {"high_freq_factor", 4}};
  const json config = with(config_of("llama"), {{"rope_scaling", llama3}, {"max_position_embeddings", 300}});
  EXPECT_EQ(parse(config).rope.original_max_position_embeddings, 300);
  EXPECT_EQ(parse(with(config, {{"original_max_position_embeddings", 77}})).rope.original_max_position_embeddings, 77);
}

TEST(ModelSpecTest, bias_keys_count_where_the_family_reads_them) {
  const json biases{{"attention_bias", true}, {"mlp_bias", true}};
  const ModelSpec llama = parse(with(config_of("llama"), biases));
  EXPECT_TRUE(llama.qkv_bias && llama.attention_output_bias && llama.mlp_bias);
  const ModelSpec mistral = parse(with(config_of("mistral"), biases));
  EXPECT_FALSE(mistral.qkv_bias || mistral.attention_output_bias || mistral.mlp_bias);
  const ModelSpec qwen3 = parse(with(config_of("qwen3"), biases));
  EXPECT_TRUE(qwen3.qkv_bias && qwen3.attention_output_bias);
  EXPECT_FALSE(qwen3.mlp_bias);
}

TEST(ModelSpecTest, sliding_windows_follow_the_rule_of_the_family) {
  EXPECT_EQ(parse(with(config_of("llama"), {{"sliding_window", 8}})).sliding_window, std::nullopt);
  EXPECT_EQ(parse(with(config_of("mistral"), {{"sliding_window", 8}})).windowed_layers, std::vector(4, true));
  EXPECT_EQ(parse(with(config_of("mistral"), {{"sliding_window", nullptr}})).sliding_window, std::nullopt);
  for (const char* family : {"qwen2", "qwen3"}) {
    const json unused = with(config_of(family), {{"sliding_window", 8}, {"max_window_layers", 1}});
    EXPECT_EQ(parse(unused).sliding_window, std::nullopt);
    const json used = with(unused, {{"use_sliding_window", true}});
    EXPECT_EQ(parse(used).sliding_window, 8);
    EXPECT_THAT(parse(used).windowed_layers, ElementsAre(false, true, true, true));
    EXPECT_EQ(parse(with(used, {{"max_window_layers", 4}})).sliding_window, std::nullopt) << "no layer has it";
    const json types{"sliding_attention", "full_attention", "attention", "sliding_attention"};
    EXPECT_THAT(parse(with(used, {{"layer_types", types}})).windowed_layers, ElementsAre(true, false, false, true));
    expect_refused(with(unused, {{"layer_types", types}}), "layer_types: [\"sliding_attention\"");
  }
}

TEST(ModelSpecTest, layer_types_that_the_family_does_not_read_must_agree_with_it) {
  const json full{"full_attention", "full_attention", "full_attention", "full_attention"};
  EXPECT_EQ(parse(with(config_of("llama"), {{"layer_types", full}})), parse(config_of("llama")));
  EXPECT_THAT([&] { parse(with(config_of("mistral"), {{"layer_types", full}})); },
              throws<InputError>(AllOf(HasSubstr("layer_types"), HasSubstr("mistral"))));
  expect_refused(with(config_of("llama"), {{"layer_types", json{"full_attention"}}}), "layer_types: ");
}

TEST(ModelSpecTest, other_architectures_are_refused_by_name) {
  EXPECT_THAT([] { parse(config_of("gpt2")); },
              throws<InputError>(AllOf(HasSubstr("model_type: \"gpt2\""), HasSubstr("mistral (MistralForCausalLM)"))));
  json nameless = config_of("llama");
  nameless.erase("model_type");
  expect_refused(nameless, "model_type: missing");
  expect_refused(with(config_of("llama"), {{"architectures", {"LlamaForSequenceClassification"}}}),
                 "architectures: [\"LlamaForSequenceClassification\"]: must be [\"LlamaForCausalLM\"]");
  for (const Family& family : families()) {
    EXPECT_EQ(parse(with(config_of(std::string(family.model_type)), {{"architectures", {family.architecture}}})).family,
              family.model_type);
  }
}

TEST(ModelSpecTest, what_would_be_computed_otherwise_is_refused) {
  const json llama = config_of("llama");
  expect_refused(with(llama, {{"hidden_act", "gelu"}}), "hidden_act: \"gelu\"");
  expect_refused(with(llama, {{"quantization_config", {{"quant_method", "gptq"}}}}),
                 "quantization_config: {\"quant_method\":\"gptq\"}: the weights are quantized");
  expect_refused(with(llama, {{"partial_rotary_factor", 0.5}}), "partial_rotary_factor: 0.5");
  expect_refused(with(llama, {{"torch_dtype", "float8_e4m3fn"}}), "torch_dtype: \"float8_e4m3fn\"");
  for (const char* type : {"yarn", "dynamic", "longrope", "proportional"}) {
    expect_refused(with(llama, {{"rope_scaling", {{"type", type}, {"factor", 2}}}}),
                   std::string("rope_scaling.type: \"") + type + "\": this RoPE type is not supported");
    expect_refused(with(llama, {{"rope_parameters", {{"rope_type", type}, {"factor", 2}}}}),
                   "rope_parameters.rope_type: ");
  }
  expect_refused(with(config_of("qwen3"), {{"rope_parameters", {{"full_attention", {{"rope_type", "default"}}}}}}),
                 "rope_parameters.full_attention: ");
}

TEST(ModelSpecTest, what_changes_nothing_in_the_forward_pass_is_let_through) {
  const json harmless{{"attention_dropout", 0.1},
                      {"pretraining_tp", 2},
                      {"use_cache", false},
                      {"bos_token_id", 1},
                      {"rope_interleaved", false}};
  EXPECT_EQ(parse(with(config_of("llama"), harmless)), parse(config_of("llama")));
}

TEST(ModelSpecTest, wrong_sizes_are_refused) {
  const json llama = config_of("llama");
  expect_refused(with(llama, {{"num_key_value_heads", 3}}),
                 "num_key_value_heads: 3: must divide num_attention_heads (4)");
  expect_refused(with(llama, {{"hidden_size", 66}}), "hidden_size: 66: must be a multiple of num_attention_heads (4)");
  expect_refused(with(llama, {{"head_dim", 7}}), "head_dim: 7: gives a head size of 7");
  expect_refused(with(llama, {{"vocab_size", 0}}), "vocab_size: 0: must be an integer from 1");
  expect_refused(with(llama, {{"vocab_size", 1e30}}), "vocab_size: 1e+30");
  expect_refused(with(llama, {{"vocab_size", "many"}}), "vocab_size: \"many\"");
  expect_refused(with(llama, {{"rms_norm_eps", -1}}), "rms_norm_eps: -1");
  expect_refused(with(llama, {{"tie_word_embeddings", 1}}), "tie_word_embeddings: 1: must be true or false");
  expect_refused(with(config_of("mistral"), {{"sliding_window", 0}}), "sliding_window: 0");
}

TEST(ModelSpecTest, sizes_that_no_model_has_are_refused) {
  const json llama = config_of("llama");
  expect_refused(with(llama, {{"num_hidden_layers", 2147483647}}), "num_hidden_layers: 2147483647: must be an integer");
  expect_refused(with(llama, {{"vocab_size", 18446744073709551615U}}), "vocab_size: 18446744073709551615");
  expect_refused(with(llama, {{"hidden_size", 2147483648 / 4 * 3}, {"head_dim", 2147483646}}),
                 "the sizes make a model of");
}

TEST(ModelSpecTest, all_problems_are_listed_at_once) {
  json config = with(config_of("llama"), {{"hidden_act", "relu"}, {"rope_scaling", {{"type", "llama3"}}}});
  config.erase("hidden_size");
  EXPECT_THAT(
      [&] { parse(config); },
      throws<InputError>(AllOf(HasSubstr("hidden_act: \"relu\""), HasSubstr("hidden_size: missing"),
                               HasSubstr("rope_scaling.factor: missing"),
                               HasSubstr("rope_scaling.low_freq_factor: missing"), Not(HasSubstr("vocab_size")))));
}

TEST(ModelSpecTest, text_that_is_no_json_object_is_refused) {
  EXPECT_THAT([] { parse_model_config("{\"a\": ", "c.json"); },
              throws<InputError>(HasSubstr("c.json: is not valid JSON")));
  EXPECT_THAT([] { parse_model_config("{\"a\": 1e999}", "c.json"); }, throws<InputError>(HasSubstr("number overflow")));
  EXPECT_THAT([] { parse_model_config("{\"a\": 1, \"a\": 2}", "c.json"); },
              throws<InputError>(HasSubstr("is repeated")));
  EXPECT_THAT([] { parse_model_config("[1]", "c.json"); }, throws<InputError>(HasSubstr("one JSON object")));
}

}  // namespace
}  // namespace collimate
