#include "collimate/store/model_folder.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/model_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class ModelFolderTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "model") const { return folder_.path() / name; }
  void write_tiny() const { write_model_folder(path(), tiny_config(), tiny_tensors(tiny_config())); }
  template <class Matcher>
  void expect_refused(const Matcher& message) const {
    EXPECT_THAT([&] { ModelFolder::open(path()); }, throws<InputError>(message));
  }

  TemporaryFolder folder_;
};

/// The tensors with their values stored in another dtype.
std::vector<StoredTensor> converted(std::vector<StoredTensor> tensors, StorageDtype dtype, at::ScalarType scalar) {
  for (StoredTensor& tensor : tensors) {
    const at::Tensor values = at::from_blob(tensor.bytes.data(), tensor.shape, at::kFloat).to(scalar);
    std::string bytes(values.nbytes(), '\0');
    std::memcpy(bytes.data(), values.const_data_ptr(), bytes.size());
    tensor.dtype = dtype;
    tensor.bytes = bytes;
  }
  return tensors;
}

TEST_F(ModelFolderTest, loads_tensors_of_every_dtype_into_any) {
  const auto tensors = tiny_tensors(tiny_config());
  for (const auto& [stored, scalar] :
       {std::pair{StorageDtype::kF32, at::kFloat}, std::pair{StorageDtype::kF64, at::kDouble},
        std::pair{StorageDtype::kBF16, at::kBFloat16}, std::pair{StorageDtype::kF16, at::kHalf}}) {
    write_model_folder(path(), tiny_config(), converted(tensors, stored, scalar));
    const ModelFolder folder = ModelFolder::open(path());
    const at::Tensor weight = folder.load("model.layers.1.mlp.up_proj.weight", at::kDouble);
    EXPECT_EQ(weight.scalar_type(), at::kDouble);
    EXPECT_EQ(weight.sizes(), (at::IntArrayRef{10, 8}));
    const auto expected = std::ranges::find(tensors, "model.layers.1.mlp.up_proj.weight", &StoredTensor::name);
    const at::Tensor values = at::from_blob(const_cast<char*>(expected->bytes.data()), expected->shape, at::kFloat)
                                  .to(scalar)
                                  .to(at::kDouble);
    EXPECT_TRUE(weight.equal(values));
  }
}

TEST_F(ModelFolderTest, loaded_tensors_outlive_the_folder) {
  write_tiny();
  const at::Tensor weight = ModelFolder::open(path()).load("model.norm.weight", at::kFloat);
  EXPECT_EQ(weight.numel(), 8);
  EXPECT_GT(weight.sum().item<float>(), 0.0F);
}

TEST_F(ModelFolderTest, weights_fingerprint_depends_on_values_and_not_on_files) {
  const auto tensors = tiny_tensors(tiny_config());
  write_model_folder(path("one"), tiny_config(), tensors);
  write_sharded_folder(path("sharded"), tiny_config(), tensors, 3);
  auto reversed = tensors;
  std::ranges::reverse(reversed);
  write_sharded_folder(path("reversed"), tiny_config(), reversed, 5);
  const Hash128 fingerprint = ModelFolder::open(path("one")).weights_fingerprint();
  EXPECT_EQ(ModelFolder::open(path("sharded")).weights_fingerprint(), fingerprint);
  EXPECT_EQ(ModelFolder::open(path("reversed")).weights_fingerprint(), fingerprint);

  auto changed = tensors;
  changed.back().bytes.back() = static_cast<char>(changed.back().bytes.back() ^ 1);
  write_model_folder(path("changed"), tiny_config(), changed);
  EXPECT_NE(ModelFolder::open(path("changed")).weights_fingerprint(), fingerprint);
  write_model_folder(path("double"), tiny_config(), converted(tensors, StorageDtype::kF64, at::kDouble));
  EXPECT_NE(ModelFolder::open(path("double")).weights_fingerprint(), fingerprint);
}

TEST_F(ModelFolderTest, weights_fingerprint_is_what_the_documentation_says) {
  const TensorHash a{{"a", StorageDtype::kF32, {2, 3}}, hash_text("x")};
  const TensorHash b{{"b", StorageDtype::kBF16, {4}}, hash_text("y")};
  const std::string text = "a F32 [2,3] " + a.hash.hex() + "\nb BF16 [4] " + b.hash.hex() + "\n";
  EXPECT_EQ(combine_tensor_hashes(std::vector{b, a}), hash_text(text));
}

TEST_F(ModelFolderTest, tells_of_missing_unexpected_and_wrongly_shaped_tensors_at_once) {
  auto tensors = tiny_tensors(tiny_config());
  tensors[0].name = "model.embed.weight";
  tensors[1].shape = {2, 4};
  tensors.back().shape = {8, 12};
  write_model_folder(path(), tiny_config(), tensors);
  expect_refused(AllOf(HasSubstr(path()), HasSubstr("missing: model.embed_tokens.weight, [12, 8]"),
                       HasSubstr("unexpected: model.embed.weight in model.safetensors, [12, 8]"),
                       HasSubstr("wrong shape: " + tensors[1].name +
                                 " in model.safetensors is [2, 4]; config.json asks for [8]"
                                 ", and 1 more like it")));
}

TEST_F(ModelFolderTest, says_once_that_the_config_is_of_another_size) {
  auto config = tiny_config();
  write_model_folder(path(), config, tiny_tensors(config));
  config["intermediate_size"] = 2 * config["intermediate_size"].get<int>();
  write_bytes(fs::path(path()) / "config.json", config.dump());
  expect_refused(AllOf(HasSubstr("wrong shape: model.layers.0.mlp."), HasSubstr(", and 5 more like it"),
                       Not(HasSubstr("model.layers.1"))));
}

TEST_F(ModelFolderTest, tolerates_what_old_writers_store_beside_the_parameters) {
  auto tied = tiny_config();
  tied["tie_word_embeddings"] = true;
  auto tensors = tiny_tensors(tied);
  write_model_folder(path("plain"), tied, tensors);
  tensors.push_back({{"model.layers.0.self_attn.rotary_emb.inv_freq", StorageDtype::kF32, {2}}, std::string(8, 'x')});
  tensors.push_back({{"model.layers.1.self_attn.masked_bias", StorageDtype::kI64, {}}, std::string(8, 'x')});
  tensors = with_copy(tensors, "model.embed_tokens.weight", "lm_head.weight");
  write_model_folder(path(), tied, tensors);
  EXPECT_EQ(ModelFolder::open(path()).weights_fingerprint(), ModelFolder::open(path("plain")).weights_fingerprint());
}

TEST_F(ModelFolderTest, refuses_weights_of_an_integer_dtype) {
  auto tensors = tiny_tensors(tiny_config());
  tensors[0].dtype = StorageDtype::kI32;
  write_model_folder(path(), tiny_config(), tensors);
  expect_refused(HasSubstr("wrong dtype: model.embed_tokens.weight in model.safetensors is I32"));
}

TEST_F(ModelFolderTest, refuses_truncated_weights) {
  write_tiny();
  fs::resize_file(fs::path(path()) / "model.safetensors", 1000);
  expect_refused(HasSubstr("model.safetensors"));
}

TEST_F(ModelFolderTest, fingerprints_the_tokenizer_where_there_is_one) {
  write_tiny();
  EXPECT_EQ(ModelFolder::open(path()).tokenizer_fingerprint(), std::nullopt);
  EXPECT_EQ(ModelFolder::open(path()).chat_template_fingerprint(), std::nullopt);
  write_bytes(fs::path(path()) / "tokenizer.json", "{}");
  const ModelFolder folder = ModelFolder::open(path());
  EXPECT_EQ(folder.tokenizer_fingerprint(), hash_text("{}"));
  EXPECT_EQ(folder.chat_template_fingerprint(), std::nullopt);
  write_bytes(fs::path(path()) / "tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(folder.chat_template_fingerprint(), std::nullopt);
}

TEST_F(ModelFolderTest, fingerprints_the_chat_template_from_where_transformers_takes_it) {
  write_tiny();
  write_bytes(fs::path(path()) / "tokenizer.json", "{}");
  const ModelFolder folder = ModelFolder::open(path());
  const fs::path config = fs::path(path()) / "tokenizer_config.json";
  write_bytes(config, R"({"chat_template": "from config ü"})");
  EXPECT_EQ(folder.chat_template_fingerprint(), hash_text("from config ü"));
  write_bytes(config,
              R"({"chat_template": [{"name": "tool", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(folder.chat_template_fingerprint(), hash_text("d"));
  for (const char* wrong : {R"({"chat_template": 3})", R"({"chat_template": [{"name": 3, "template": "t"}]})",
                            R"({"chat_template": [{"name": "default", "template": 3}]})"}) {
    write_bytes(config, wrong);
    EXPECT_THAT([&] { (void)folder.chat_template_fingerprint(); },
                throws<InputError>(HasSubstr("tokenizer_config.json")));
  }
  write_bytes(fs::path(path()) / "chat_template.jinja", "from file\n");
  EXPECT_EQ(folder.chat_template_fingerprint(), hash_text("from file\n"));
}

TEST_F(ModelFolderTest, config_fingerprint_ignores_only_what_does_not_change_the_computation) {
  write_tiny();
  const Hash128 fingerprint = ModelFolder::open(path()).config_fingerprint();
  auto renamed = tiny_config();
  renamed["torch_dtype"] = "bfloat16";
  renamed["_name_or_path"] = "elsewhere";
  write_bytes(fs::path(path()) / "config.json", renamed.dump());
  EXPECT_EQ(ModelFolder::open(path()).config_fingerprint(), fingerprint);
  renamed["rope_theta"] = 20000.0;
  write_bytes(fs::path(path()) / "config.json", renamed.dump());
  EXPECT_NE(ModelFolder::open(path()).config_fingerprint(), fingerprint);
}

}  // namespace
}  // namespace collimate
