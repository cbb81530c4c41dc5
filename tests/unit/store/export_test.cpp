#include "collimate/store/export.hpp"

#include <set>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/initialize.hpp"
#include "collimate/store/model_folder.hpp"
#include "support/model_folder.hpp"
#include "support/small_disk.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::set<std::string> names_in(const fs::path& folder) {
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.insert(entry.path().filename());
  return names;
}

class ExportTest : public ::testing::Test {
 protected:
  ExportTest() {
    write_model_folder(source_path_, tiny_config(), tiny_tensors(tiny_config()));
    write_bytes(source_path_ / "tokenizer.json", "{\"a\": 1}");
    write_bytes(source_path_ / "chat_template.jinja", "{{ x }}\n");
    write_bytes(source_path_ / "generation_config.json", "{}");
    write_bytes(source_path_ / "pytorch_model.bin", "old weights");
    write_bytes(source_path_ / "model-00001-of-00002.safetensors", "other weights");
    write_bytes(source_path_ / ".gitattributes", "hidden");
  }

  LoadTensor weights_of(const ModelSource& source) const {
    return [&source](const std::string& name) { return source.load(name, at::kDouble); };
  }
  void export_with(ExportOptions options) const {
    const ModelFolder source = ModelFolder::open(source_path_);
    options.folder = target_;
    export_model_folder(source, weights_of(source), options);
  }

  TemporaryFolder folder_;
  fs::path source_path_ = folder_.path() / "source";
  fs::path target_ = folder_.path() / "new" / "target";
};

TEST_F(ExportTest, keeps_dtype_config_and_companion_files_byte_for_byte) {
  export_with({});
  EXPECT_EQ(names_in(target_), (std::set<std::string>{"config.json", "model.safetensors", "tokenizer.json",
                                                      "chat_template.jinja", "generation_config.json"}));
  EXPECT_EQ(read_bytes(target_ / "config.json"), read_bytes(source_path_ / "config.json"));
  EXPECT_EQ(read_bytes(target_ / "chat_template.jinja"), "{{ x }}\n");
  const ModelFolder exported = ModelFolder::open(target_);
  const ModelFolder source = ModelFolder::open(source_path_);
  EXPECT_EQ(exported.weights_fingerprint(), source.weights_fingerprint());
  EXPECT_EQ(exported.config_fingerprint(), source.config_fingerprint());
  EXPECT_EQ(exported.tokenizer_fingerprint(), source.tokenizer_fingerprint());
  EXPECT_EQ(exported.chat_template_fingerprint(), source.chat_template_fingerprint());
}

TEST_F(ExportTest, copies_what_belongs_to_the_model_and_nothing_of_other_files) {
  const std::set<std::string> belonging{"added_tokens.json",
                                        "additional_chat_templates",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "generation_config.json",
                                        "LICENSE.txt",
                                        "merges.txt",
                                        "modeling_own.py",
                                        "NOTICE",
                                        "preprocessor_config.json",
                                        "processor_config.json",
                                        "special_tokens_map.json",
                                        "spiece.model",
                                        "tekken.json",
                                        "tokenizer.json",
                                        "tokenizer.model",
                                        "tokenizer.model.v3",
                                        "tokenizer_config.json",
                                        "USE_POLICY.md",
                                        "vocab.json"};
  const std::set<std::string> foreign{"adapter_model.safetensors",
                                      "all_results.json",
                                      "global_step5",
                                      "model.gguf",
                                      "model.lock",
                                      "model.onnx_data",
                                      "optimizer.bin",
                                      "params.json",
                                      "pytorch_model.bin.index.json",
                                      "quantize_config.json",
                                      "README.md",
                                      "rng_state_0.pth",
                                      "scheduler.pt",
                                      "source.fingerprint.json",
                                      "trainer_state.json",
                                      "training_args.bin",
                                      "zero_to_fp32.py.bak",
                                      "original"};
  for (const std::string& name : belonging) {
    if (name != "additional_chat_templates") write_bytes(source_path_ / name, name);
  }
  for (const std::string& name : foreign) write_bytes(source_path_ / name, "");
  fs::create_directory(source_path_ / "additional_chat_templates");
  write_bytes(source_path_ / "additional_chat_templates" / "tools.jinja", "{{ tools }}\n");
  write_bytes(source_path_ / "additional_chat_templates" / "notes.txt", "");
  export_with({});
  auto expected = belonging;
  expected.insert({"config.json", "model.safetensors"});
  EXPECT_EQ(names_in(target_), expected);
  EXPECT_EQ(names_in(target_ / "additional_chat_templates"), std::set<std::string>{"tools.jinja"});
  EXPECT_EQ(read_bytes(target_ / "additional_chat_templates" / "tools.jinja"), "{{ tools }}\n");
  EXPECT_EQ(read_bytes(target_ / "vocab.json"), "vocab.json");
}

TEST_F(ExportTest, a_head_of_its_own_is_exported_with_a_config_that_says_so) {
  auto config = tiny_config();
  config["tie_word_embeddings"] = true;
  write_model_folder(source_path_, config, tiny_tensors(tiny_config()));
  export_with({});
  config["tie_word_embeddings"] = false;
  EXPECT_EQ(nlohmann::ordered_json::parse(read_bytes(target_ / "config.json")).dump(), config.dump());
  const ModelFolder exported = ModelFolder::open(target_);
  EXPECT_EQ(exported.weights_fingerprint(), ModelFolder::open(source_path_).weights_fingerprint());
  EXPECT_EQ(exported.config_fingerprint(), ModelFolder::open(source_path_).config_fingerprint());
  EXPECT_TRUE(exported.remarks().empty());
}

TEST_F(ExportTest, a_tied_head_is_not_exported) {
  auto config = tiny_config();
  config["tie_word_embeddings"] = true;
  write_model_folder(source_path_, config, with_copy(tiny_tensors(config), kEmbeddingName, kHeadName));
  export_with({});
  EXPECT_EQ(read_bytes(target_ / "config.json"), read_bytes(source_path_ / "config.json"));
  EXPECT_EQ(SafetensorsFile(target_ / "model.safetensors").find(kHeadName), nullptr);
}

TEST_F(ExportTest, converts_to_the_dtype_and_says_so_in_the_sources_spelling) {
  export_with({.folder = {}, .dtype = ExportDtype::kBfloat16});
  auto expected = tiny_config();
  expected["torch_dtype"] = "bfloat16";
  EXPECT_EQ(nlohmann::ordered_json::parse(read_bytes(target_ / "config.json")).dump(), expected.dump());
  const ModelFolder exported = ModelFolder::open(target_);
  for (const TensorInfo& tensor : exported.tensors()) EXPECT_EQ(tensor.dtype, StorageDtype::kBF16);
  const ModelFolder source = ModelFolder::open(source_path_);
  EXPECT_TRUE(exported.load("lm_head.weight", at::kBFloat16).equal(source.load("lm_head.weight", at::kBFloat16)));
}

TEST_F(ExportTest, writes_the_newer_spelling_where_the_source_has_it) {
  auto config = tiny_config();
  config.erase("torch_dtype");
  config["dtype"] = "float32";
  write_bytes(source_path_ / "config.json", config.dump());
  export_with({.folder = {}, .dtype = ExportDtype::kFloat16});
  const auto exported = nlohmann::json::parse(read_bytes(target_ / "config.json"));
  EXPECT_EQ(exported["dtype"], "float16");
  EXPECT_FALSE(exported.contains("torch_dtype"));
}

TEST_F(ExportTest, shards_over_the_limit_with_an_index) {
  const ModelFolder source = ModelFolder::open(source_path_);
  export_with({.folder = {}, .dtype = ExportDtype::kSource, .max_shard_bytes = 1000});
  std::uint64_t num_shards = 0;
  for (const std::string& name : names_in(target_)) {
    if (!name.ends_with(".safetensors")) continue;
    ++num_shards;
    const SafetensorsFile shard(target_ / name);
    std::uint64_t num_bytes = 0;
    for (const TensorView& tensor : shard.tensors()) num_bytes += tensor.num_bytes();
    EXPECT_LE(num_bytes, 1000U);
  }
  EXPECT_GT(num_shards, 3U);
  const auto index = nlohmann::json::parse(read_bytes(target_ / "model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], source.num_bytes());
  EXPECT_EQ(ModelFolder::open(target_).weights_fingerprint(), source.weights_fingerprint());
}

TEST_F(ExportTest, random_weights_take_the_tokenizer_beside_their_config_and_nothing_else) {
  const fs::path configs = folder_.path() / "configs";
  fs::create_directory(configs);
  write_bytes(configs / "tiny.json", tiny_config().dump());
  write_bytes(configs / "other.json", "{}");
  write_bytes(configs / "tokenizer.json", "{}");
  write_bytes(configs / "LICENSE", "of the configurations");
  const RandomWeights source(configs / "tiny.json", 5);
  export_model_folder(source, weights_of(source), {.folder = target_});
  EXPECT_EQ(names_in(target_), (std::set<std::string>{"config.json", "model.safetensors", "tokenizer.json"}));
  EXPECT_EQ(ModelFolder::open(target_).weights_fingerprint(), source.weights_fingerprint());
}

TEST_F(ExportTest, refuses_a_target_in_use_and_leaves_it_alone) {
  fs::create_directories(target_);
  write_bytes(target_ / "precious.txt", "x");
  EXPECT_THAT([&] { export_with({}); },
              throws<InputError>(AllOf(HasSubstr(target_.string()), HasSubstr("exists already"))));
  EXPECT_EQ(names_in(target_), std::set<std::string>{"precious.txt"});
}

TEST_F(ExportTest, leaves_nothing_behind_when_the_weights_cannot_be_had) {
  const ModelFolder source = ModelFolder::open(source_path_);
  const LoadTensor broken = [](const std::string&) -> at::Tensor { throw Error("lost"); };
  EXPECT_THROW(export_model_folder(source, broken, {.folder = target_}), Error);
  EXPECT_FALSE(fs::exists(target_.parent_path())) << "which was made for it";
}

TEST_F(ExportTest, full_disk_is_a_failure_that_leaves_nothing) {
  const SmallDisk disk(16384);
  target_ = disk.path() / "target";
  auto config = tiny_config();
  config["vocab_size"] = 512;
  write_model_folder(source_path_, config, tiny_tensors(config));
  EXPECT_THAT([&] { export_with({}); },
              throws<Error>(AllOf(HasSubstr("model.safetensors"), HasSubstr("No space left"))));
  EXPECT_TRUE(fs::is_empty(disk.path()));
}

}  // namespace
}  // namespace collimate
