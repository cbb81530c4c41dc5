// A head beside an embedding that config.json ties: the weights decide.

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/model_folder.hpp"
#include "support/model_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

nlohmann::ordered_json tied_config() {
  auto config = tiny_config();
  config["tie_word_embeddings"] = true;
  return config;
}

/// float32 tensors of a tied model and a head with the embedding's values.
std::vector<StoredTensor> with_equal_head(const nlohmann::ordered_json& config) {
  return with_copy(tiny_tensors(config), kEmbeddingName, kHeadName);
}

class TiedHeadTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "model") const { return folder_.path() / name; }
  ModelFolder opened(const nlohmann::ordered_json& config, const std::vector<StoredTensor>& tensors,
                     const std::string& name = "model") const {
    write_model_folder(path(name), config, tensors);
    return ModelFolder::open(path(name));
  }

  TemporaryFolder folder_;
};

TEST_F(TiedHeadTest, a_head_unlike_the_embedding_is_one_of_its_own_whatever_the_flag) {
  const auto tensors = tiny_tensors(tiny_config());
  const ModelFolder flagged = opened(tied_config(), tensors);
  const ModelFolder plain = opened(tiny_config(), tensors, "plain");
  EXPECT_FALSE(flagged.spec().tie_word_embeddings);
  EXPECT_EQ(flagged.tensors(), plain.tensors());
  EXPECT_EQ(flagged.weights_fingerprint(), plain.weights_fingerprint());
  EXPECT_EQ(flagged.config_fingerprint(), plain.config_fingerprint());
  EXPECT_TRUE(flagged.load(kHeadName, at::kFloat).equal(plain.load(kHeadName, at::kFloat)));
  EXPECT_THAT(flagged.remarks(), ElementsAre(AllOf(HasSubstr(path() + "/config.json: tie_word_embeddings: true"),
                                                   HasSubstr("lm_head.weight"), HasSubstr("transformers 4"))));
  EXPECT_THAT(plain.remarks(), IsEmpty());
}

TEST_F(TiedHeadTest, an_equal_head_is_the_embedding) {
  const ModelFolder folder = opened(tied_config(), with_equal_head(tied_config()));
  const ModelFolder without = opened(tied_config(), tiny_tensors(tied_config()), "without");
  EXPECT_TRUE(folder.spec().tie_word_embeddings);
  EXPECT_EQ(folder.tensors(), without.tensors());
  EXPECT_EQ(folder.weights_fingerprint(), without.weights_fingerprint());
  EXPECT_EQ(folder.config_fingerprint(), without.config_fingerprint());
  EXPECT_THAT(folder.remarks(), IsEmpty());
}

TEST_F(TiedHeadTest, without_the_flag_an_equal_head_is_a_parameter) {
  const ModelFolder folder = opened(tiny_config(), with_equal_head(tied_config()));
  EXPECT_FALSE(folder.spec().tie_word_embeddings);
  EXPECT_EQ(folder.tensors().back().name, kHeadName);
}

TEST_F(TiedHeadTest, every_element_is_compared) {
  auto config = tied_config();
  config["vocab_size"] = 150000;  // more than a part of the comparison has
  auto tensors = with_equal_head(config);
  EXPECT_TRUE(opened(config, tensors).spec().tie_word_embeddings);
  for (const std::size_t place : {std::size_t{0}, tensors.back().bytes.size() / 2, tensors.back().bytes.size() - 1}) {
    auto changed = tensors;
    char& byte = changed.back().bytes[place];
    byte = static_cast<char>(byte + 1);
    EXPECT_FALSE(opened(config, changed).spec().tie_word_embeddings) << place;
  }
}

TEST_F(TiedHeadTest, values_count_not_their_bytes) {
  auto tensors = with_equal_head(tied_config());
  StoredTensor& head = tensors.back();
  const at::Tensor values = at::from_blob(head.bytes.data(), {12, 8}, at::kFloat).to(at::kDouble);
  head.dtype = StorageDtype::kF64;
  head.bytes.assign(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  EXPECT_TRUE(opened(tied_config(), tensors).spec().tie_word_embeddings) << "float64 has the float32 values";
  const double more = 1e-12;  // the first value is 0
  std::memcpy(head.bytes.data(), &more, sizeof more);
  EXPECT_FALSE(opened(tied_config(), tensors).spec().tie_word_embeddings);

  tensors = with_equal_head(tied_config());
  const float negative_zero = -0.0F;
  std::memcpy(tensors.back().bytes.data(), &negative_zero, sizeof negative_zero);
  EXPECT_TRUE(opened(tied_config(), tensors).spec().tie_word_embeddings);
}

TEST_F(TiedHeadTest, a_tied_embedding_may_be_stored_as_the_head) {
  const ModelFolder expected = opened(tied_config(), tiny_tensors(tied_config()), "usual");
  auto tensors = tiny_tensors(tied_config());
  tensors.front().name = kHeadName;
  const ModelFolder folder = opened(tied_config(), tensors);
  EXPECT_TRUE(folder.spec().tie_word_embeddings);
  EXPECT_EQ(folder.weights_fingerprint(), expected.weights_fingerprint());
  EXPECT_TRUE(folder.load(kEmbeddingName, at::kFloat).equal(expected.load(kEmbeddingName, at::kFloat)));
}

TEST_F(TiedHeadTest, refuses_a_head_of_another_shape_or_dtype) {
  auto tensors = with_equal_head(tied_config());
  tensors.back().shape = {8, 12};
  EXPECT_THAT([&] { opened(tied_config(), tensors); },
              throws<InputError>(HasSubstr("wrong shape: lm_head.weight in model.safetensors is [8, 12]")));
  tensors.back().shape = {12, 8};
  tensors.back().dtype = StorageDtype::kI32;
  EXPECT_THAT([&] { opened(tied_config(), tensors); },
              throws<InputError>(HasSubstr("wrong dtype: lm_head.weight in model.safetensors is I32")));
}

}  // namespace
}  // namespace collimate
