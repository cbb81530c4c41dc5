#include "collimate/store/checkpoint.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "support/checkpoints.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class CheckpointTest : public ::testing::Test {
 protected:
  CheckpointTest() {
    fs::create_directory(path_);
    write_checkpoint(path_, sample_state(7), sample_groups(7));
  }
  template <class Matcher>
  void expect_refused(const Matcher& message) const {
    EXPECT_THAT([&] { (void)Checkpoint::open(path_); }, throws<InputError>(message));
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_.path() / "step";
};

TEST_F(CheckpointTest, gives_back_state_and_tensors) {
  const Checkpoint checkpoint = Checkpoint::open(path_);
  EXPECT_EQ(checkpoint.state().step, 7);
  EXPECT_EQ(checkpoint.state().trainer_state, sample_state(7).trainer_state);
  EXPECT_EQ(checkpoint.state().fingerprints, sample_state(7).fingerprints);
  EXPECT_EQ(checkpoint.state().configuration, sample_state(7).configuration);
  EXPECT_THAT(checkpoint.group_names(), ElementsAre("exp_avg", "model"));
  EXPECT_EQ(checkpoint.tensors("model")[1].name, "b.bias");
  for (const TensorGroup& group : sample_groups(7)) {
    for (const NamedTensor& tensor : group.tensors) {
      const at::Tensor loaded = checkpoint.load(group.name, tensor.name);
      EXPECT_EQ(loaded.scalar_type(), tensor.value.scalar_type());
      EXPECT_TRUE(loaded.equal(tensor.value));
    }
  }
  EXPECT_THAT([&] { (void)checkpoint.tensors("exp_avg_sq"); },
              throws<InputError>(HasSubstr("no tensors 'exp_avg_sq'")));
  EXPECT_THAT([&] { (void)checkpoint.load("model", "c"); }, throws<InputError>(HasSubstr("no 'c' of 'model'")));
}

TEST_F(CheckpointTest, equal_content_gives_equal_bytes) {
  const fs::path again = folder_.path() / "again";
  fs::create_directory(again);
  write_checkpoint(again, sample_state(7), sample_groups(7));
  for (const auto& entry : fs::directory_iterator(path_)) {
    EXPECT_TRUE(read_bytes(entry.path()) == read_bytes(again / entry.path().filename())) << entry.path();
  }
}

TEST_F(CheckpointTest, manifest_checksum_is_what_the_documentation_says) {
  std::string text = read_bytes(path_ / "manifest.json");
  const std::string checksum = nlohmann::json::parse(text)["checksum"];
  text.replace(text.find(checksum), checksum.size(), std::string(32, '0'));
  EXPECT_EQ(hash_text(text).hex(), checksum);
  const auto files = nlohmann::json::parse(text)["files"];
  EXPECT_EQ(hash_text(read_bytes(path_ / "model.safetensors")).hex(), files[0]["xxh3_128"]);
}

TEST_F(CheckpointTest, a_flipped_byte_anywhere_is_detected_and_its_file_named) {
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string whole = read_bytes(entry.path());
    for (std::size_t place = 0; place < whole.size(); place += 3) {
      std::string flipped = whole;
      flipped[place] = static_cast<char>(~flipped[place]);
      write_bytes(entry.path(), flipped);
      EXPECT_THAT([&] { (void)Checkpoint::open(path_); }, throws<InputError>(HasSubstr(entry.path().string())))
          << place;
    }
    write_bytes(entry.path(), whole);
  }
  EXPECT_EQ(Checkpoint::open(path_).state().step, 7);
}

TEST_F(CheckpointTest, says_what_is_cut_missing_or_foreign) {
  const fs::path model = path_ / "model.safetensors";
  fs::resize_file(model, 50);
  expect_refused(AllOf(HasSubstr(model.string()), HasSubstr("has 50 bytes; the manifest says")));
  fs::remove(model);
  expect_refused(AllOf(HasSubstr(model.string()), HasSubstr("No such file")));
  write_bytes(path_ / "manifest.json", "{}");
  expect_refused(HasSubstr("is not the manifest of a checkpoint"));
  write_bytes(path_ / "manifest.json", R"({"format": "collimate.checkpoint", "format_version": 9})");
  expect_refused(HasSubstr("format_version is 9"));
  fs::remove(path_ / "manifest.json");
  expect_refused(AllOf(HasSubstr("manifest.json"), HasSubstr("No such file")));
}

TEST_F(CheckpointTest, a_manifest_that_lacks_a_key_is_named_even_with_a_right_checksum) {
  std::string text = R"({"format": "collimate.checkpoint", "format_version": 1, "checksum": ")";
  const std::string rest = R"(", "step": 1})";
  text += hash_text(text + std::string(32, '0') + rest).hex() + rest;
  write_bytes(path_ / "manifest.json", text);
  expect_refused(AllOf(HasSubstr("is not a complete manifest"), HasSubstr("trainer_state")));
}

}  // namespace
}  // namespace collimate
