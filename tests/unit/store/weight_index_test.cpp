// What a folder's weight files and its index may have beside the model's parameters, and what not.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/model_folder.hpp"
#include "support/model_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

class WeightIndexTest : public ::testing::Test {
 protected:
  std::string path() const { return folder_.path() / "model"; }
  fs::path index_path() const { return fs::path(path()) / "model.safetensors.index.json"; }
  void write(const nlohmann::ordered_json& config = tiny_config()) const {
    write_sharded_folder(path(), config, tiny_tensors(config), 8);
  }
  /// The index's map after `change`.
  template <class Change>
  void change_index(Change change) const {
    auto index = nlohmann::json::parse(read_bytes(index_path()));
    change(index["weight_map"]);
    write_bytes(index_path(), index.dump());
  }
  template <class Matcher>
  void expect_refused(const Matcher& message) const {
    EXPECT_THAT([&] { ModelFolder::open(path()); }, throws<InputError>(message));
  }
  void write_with(const std::string& extra) const {
    auto tensors = with_copy(tiny_tensors(tiny_config()), "model.norm.weight", extra);
    write_model_folder(path(), tiny_config(), tensors);
  }

  TemporaryFolder folder_;
};

TEST_F(WeightIndexTest, what_the_model_needs_decides) {
  write();
  const Hash128 expected = ModelFolder::open(path()).weights_fingerprint();
  change_index([](nlohmann::json& map) {
    map["model.norm.weight"] = "model-0.safetensors";  // it is in another shard
    map["model.layers.0.self_attn.rotary_emb.inv_freq"] = "model-1.safetensors";
    map["model.rotary_emb.inv_freq"] = "model-9.safetensors";  // there is no such file
    map.erase("model.embed_tokens.weight");
  });
  const ModelFolder folder = ModelFolder::open(path());
  EXPECT_EQ(folder.weights_fingerprint(), expected);
  EXPECT_THAT(folder.remarks(), IsEmpty());
}

TEST_F(WeightIndexTest, may_name_a_tied_head_that_no_shard_has_but_not_one_that_is_lost) {
  auto tied = tiny_config();
  tied["tie_word_embeddings"] = true;
  write(tied);
  change_index([](nlohmann::json& map) { map["lm_head.weight"] = "model-0.safetensors"; });
  EXPECT_TRUE(ModelFolder::open(path()).spec().tie_word_embeddings);
  change_index([](nlohmann::json& map) { map["lm_head.weight"] = "model-9.safetensors"; });
  expect_refused(HasSubstr("model-9.safetensors: there is no such file, in which the index places lm_head.weight"));
}

TEST_F(WeightIndexTest, names_a_tensor_that_no_shard_has_and_where_it_should_be) {
  write();
  auto tensors = tiny_tensors(tiny_config());
  tensors.resize(7);  // all but the last of the first shard
  write_tensors(fs::path(path()) / "model-0.safetensors", tensors);
  expect_refused(
      AllOf(HasSubstr("missing: model.layers.0.mlp.gate_proj.weight, [10, 8]; the index places it in model-0"),
            Not(HasSubstr("model.norm"))));
}

TEST_F(WeightIndexTest, names_a_missing_shard_and_how_many_more_there_are) {
  write();
  fs::remove(fs::path(path()) / "model-0.safetensors");
  fs::remove(fs::path(path()) / "model-2.safetensors");
  expect_refused(AllOf(HasSubstr("model-0.safetensors: there is no such file, in which the index places "),
                       HasSubstr("and 7 more, and 1 more like it"), Not(HasSubstr("model-1.safetensors")),
                       Not(HasSubstr("missing:"))));
}

TEST_F(WeightIndexTest, refuses_a_tensor_that_the_model_has_no_place_for_in_index_and_file_once) {
  write();
  change_index([](nlohmann::json& map) { map["model.layers.2.mlp.up_proj.weight"] = "model-1.safetensors"; });
  expect_refused(
      HasSubstr("unexpected: model.layers.2.mlp.up_proj.weight in model-1.safetensors, as the index says: "
                "config.json has 2 layers"));
  auto tensors = with_copy(tiny_tensors(tiny_config()), "model.norm.weight", "model.layers.2.input_layernorm.weight");
  write_sharded_folder(path(), tiny_config(), tensors, 8);
  EXPECT_THAT([&] { ModelFolder::open(path()); },
              throws<InputError>(AllOf(HasSubstr("unexpected: model.layers.2.input_layernorm.weight in model-2"),
                                       Not(HasSubstr("as the index says")))));
}

TEST_F(WeightIndexTest, refuses_a_parameter_that_two_shards_have) {
  write();
  auto tensors = tiny_tensors(tiny_config());
  const std::vector<StoredTensor> last{tensors.back(), tensors.front()};
  write_tensors(fs::path(path()) / "model-9.safetensors", last);
  change_index([](nlohmann::json& map) { map["lm_head.weight"] = "model-9.safetensors"; });
  expect_refused(
      HasSubstr("twice: lm_head.weight is in model-2.safetensors and in model-9.safetensors, and 1 more like it"));
}

TEST_F(WeightIndexTest, refuses_an_index_that_leads_elsewhere_or_is_none) {
  write();
  for (const std::string& name :
       {std::string("../model-1.safetensors"), std::string("model-1\0x", 9), std::string(300, 'n')}) {
    change_index([&](nlohmann::json& map) { map["model.norm.weight"] = name; });
    expect_refused(HasSubstr(nlohmann::json(name).dump() + " is not the name of a file beside the index"));
  }
  write_bytes(index_path(), R"({"metadata": {}})");
  expect_refused(HasSubstr("has no \"weight_map\""));
}

TEST_F(WeightIndexTest, one_file_prevails_over_an_index_and_says_what_is_not_read) {
  write();
  const Hash128 sharded = ModelFolder::open(path()).weights_fingerprint();
  auto tensors = tiny_tensors(tiny_config());
  tensors.front().bytes.front() = 1;
  write_model_folder(path(), tiny_config(), tensors);
  const ModelFolder folder = ModelFolder::open(path());
  EXPECT_NE(folder.weights_fingerprint(), sharded);
  EXPECT_THAT(folder.remarks(),
              ElementsAre(AllOf(HasSubstr("not read, since model.safetensors has the weights: model-0.safetensors"),
                                HasSubstr("model.safetensors.index.json"))));
}

TEST_F(WeightIndexTest, says_what_an_unexpected_tensor_means) {
  const std::vector<std::pair<std::string, std::string>> meanings{
      {"model.layers.0.self_attn.q_proj.bias", "attention_bias"},
      {"model.layers.0.self_attn.q_norm.weight", "model_type llama has not"},
      {"model.layers.2.mlp.up_proj.weight", "config.json has 2 layers"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "merge_and_unload"},
      {"model.layers.0.self_attn.q_proj.base_layer.weight", "merge_and_unload"},
      {"model.layers.0.mlp.up_proj.qzeros", "quantized"},
      {"model.layers.0.mlp.up_proj.scales", "quantized"},
      {"model.layers.0.mlp.up_proj.weight.absmax", "quantized"},
      {"model.layers.0.mlp.up_proj.weight_scale_inv", "quantized"},
      {"model.layers.0.mlp.experts.0.up_proj.weight", "experts"},
      {"score.weight", "another task"},
      {"_orig_mod.model.norm.weight", "wrapped"},
      {"model.vision_tower.weight", "sees or hears"}};
  for (const auto& [name, meaning] : meanings) {
    write_with(name);
    expect_refused(AllOf(HasSubstr("unexpected: " + name + " in model.safetensors, [8]: "), HasSubstr(meaning)));
  }
  write_with("something.else");
  expect_refused(HasSubstr("unexpected: something.else in model.safetensors, [8]"));
}

TEST_F(WeightIndexTest, a_long_list_of_problems_is_cut) {
  auto config = tiny_config();
  write(config);
  config["num_hidden_layers"] = 6;
  write_bytes(fs::path(path()) / "config.json", config.dump());
  expect_refused(AllOf(HasSubstr("missing: model.layers.2.input_layernorm.weight"), HasSubstr("more like it")));
}

}  // namespace
}  // namespace collimate
