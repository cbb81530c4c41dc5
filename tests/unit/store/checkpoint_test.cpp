#include "collimate/store/checkpoint.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <fmt/format.h>
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
    write_checkpoint(path_, sample_state(7), sample_pieces(7), *solo_group());
  }
  void expect_refused_when_read(const std::string& file) const {
    EXPECT_THAT([&] { Checkpoint::open(path_).verify(); }, throws<InputError>(HasSubstr(file)));
  }
  // In another dtype than any that was saved.
  at::Tensor load(const std::string& group, const std::string& name, const std::vector<std::int64_t>& shape,
                  const TensorPiece& piece) const {
    const at::Tensor into = at::full({piece.flat.length}, -1, at::kDouble);
    const LoadRequest request{.group = group, .name = name, .shape = shape, .piece = piece, .into = into};
    load_pieces(Checkpoint::open(path_), std::span(&request, 1), *solo_group());
    return into;
  }
  /// The manifest `whole` with `change` made to it and a right checksum.
  template <class Change>
  void write_edited(const std::string& whole, const Change& change) const {
    auto manifest = nlohmann::ordered_json::parse(whole);
    change(manifest);
    manifest["checksum"] = std::string(32, '0');
    std::string text = manifest.dump(1) + "\n";
    write_bytes(path_ / "manifest.json", text.replace(text.find(std::string(32, '0')), 32, hash_text(text).hex()));
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
  for (const SampleTensor& tensor : sample_tensors(7)) {
    const at::Tensor loaded = load_tensor(checkpoint, tensor.group, tensor.name);
    EXPECT_EQ(loaded.scalar_type(), tensor.value.scalar_type());
    EXPECT_TRUE(loaded.equal(tensor.value));
    const TensorPiece rows{.dim = 0, .part = {.begin = 1, .length = 2}, .flat = {.begin = 1, .length = 1}};
    EXPECT_TRUE(load(tensor.group, tensor.name, tensor.value.sizes().vec(), rows)
                    .equal(tensor.value.narrow(0, 1, 2).reshape({-1}).narrow(0, 1, 1).to(at::kDouble)));
  }
  EXPECT_THAT([&] { (void)checkpoint.tensors("exp_avg_sq"); },
              throws<InputError>(HasSubstr("no tensors 'exp_avg_sq'")));
  EXPECT_THAT([&] { (void)load_tensor(checkpoint, "model", "c"); },
              throws<AgreedError>(HasSubstr("no 'c' of 'model'")));
}

TEST_F(CheckpointTest, another_shape_is_refused_as_input) {
  try {
    (void)load("model", "a.weight", {6, 4}, whole_piece(std::vector<std::int64_t>{6, 4}));
    FAIL();
  } catch (const AgreedError& error) {
    EXPECT_THAT(error.what(), HasSubstr("tensor a.weight has shape [4, 6], but the model needs [6, 4]"));
    EXPECT_EQ(error.exit_code(), ExitCode::kBadInput);
  }
}

TEST_F(CheckpointTest, places_in_the_manifest_are_those_of_the_files_headers) {
  const SafetensorsFile file(path_ / "rank_00000.safetensors");
  const auto manifest = nlohmann::json::parse(read_bytes(path_ / "manifest.json"));
  for (const auto& tensor : manifest["tensors"]) {
    const std::string key = tensor["group"].get<std::string>() + "/" + tensor["name"].get<std::string>();
    EXPECT_EQ(tensor["pieces"][0]["offset"], file.find(key)->bytes.data() - file.file_bytes().data()) << key;
  }
}

TEST_F(CheckpointTest, a_piece_outside_of_its_file_is_refused) {
  const std::string whole = read_bytes(path_ / "manifest.json");
  const auto edit = [&](const auto& change) {
    write_edited(whole, [&](auto& manifest) { change(manifest["tensors"][0]["pieces"][0]); });
  };
  for (const std::int64_t offset : {std::int64_t{8'000}, std::int64_t{1} << 62, std::int64_t{9}}) {
    edit([&](auto& piece) { piece["offset"] = offset; });
    expect_refused(HasSubstr(fmt::format("'a.weight' of 'exp_avg' cannot have 24 elements at byte {} of", offset)));
  }
  edit([](auto& piece) { piece["file"] = "rank_00007.safetensors"; });
  expect_refused(HasSubstr("lists no file 'rank_00007.safetensors', which has a piece"));
}

TEST_F(CheckpointTest, numbers_that_cannot_be_are_refused_before_they_are_used) {
  const std::string whole = read_bytes(path_ / "manifest.json");
  using Json = nlohmann::ordered_json;
  static constexpr std::int64_t kHuge = std::int64_t{1} << 62;
  const auto expect_edit_refused = [&](const auto& change, const std::string& reason) {
    write_edited(whole, change);
    expect_refused(HasSubstr(reason));
  };
  const auto expect_piece_refused = [&](const char* key, const Json& value, const std::string& reason) {
    expect_edit_refused([&](Json& manifest) { manifest["tensors"][0]["pieces"][0][key] = value; }, reason);
  };
  expect_piece_refused("dim", 2, "has no piece of dim 2");
  expect_piece_refused("dim", 4294967296, "4294967296 is not a whole number from -1 to 2147483647");
  expect_piece_refused("part", {-1, 6}, "-1 is not a whole number from 0");
  expect_piece_refused("part", {0, 0}, "has no piece of dim 1, part [0, 0], flat [0, 24]");
  expect_piece_refused("part", {1, kHuge}, "has no piece of dim 1");
  expect_piece_refused("flat", {kHuge, kHuge}, "has no piece of dim 1");
  expect_piece_refused("offset", 1.5, "1.5 is not a whole number");
  expect_edit_refused([](Json& manifest) { manifest["tensors"][0]["shape"] = {kHuge, kHuge}; }, "which no weight is");
  expect_edit_refused([](Json& manifest) { manifest["tensors"][0]["shape"] = {0, kHuge, kHuge}; },
                      "which no weight is");
  expect_edit_refused([](Json& manifest) { manifest["tensors"][0]["dtype"] = "I64"; }, "is I64 of shape");
  expect_edit_refused([](Json& manifest) { manifest["layout"]["data"] = 1e300; }, "1e+300 is not a whole number");
  expect_edit_refused([](Json& manifest) { manifest["step"] = -1; }, "-1 is not a whole number");
}

TEST_F(CheckpointTest, files_and_tensors_are_listed_once_by_names_beside_the_manifest) {
  const std::string whole = read_bytes(path_ / "manifest.json");
  using Json = nlohmann::ordered_json;
  for (const std::string& name :
       {std::string("../step/rank_00000.safetensors"), std::string(), std::string("."), std::string("rank\0x", 6)}) {
    write_edited(whole, [&](Json& manifest) { manifest["files"][0]["name"] = name; });
    expect_refused(HasSubstr("is not the name of one file beside the manifest"));
  }
  write_edited(whole, [](Json& manifest) { manifest["files"].push_back(Json(manifest["files"][0])); });
  expect_refused(HasSubstr("\"rank_00000.safetensors\" is not the name of one file"));
  write_edited(whole, [](Json& manifest) { manifest["tensors"].push_back(Json(manifest["tensors"][0])); });
  expect_refused(HasSubstr("'a.weight' of 'exp_avg' is listed twice"));
}

TEST_F(CheckpointTest, equal_content_gives_equal_bytes) {
  const fs::path again = folder_.path() / "again";
  fs::create_directory(again);
  write_checkpoint(again, sample_state(7), sample_pieces(7), *solo_group());
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
  EXPECT_EQ(files[0]["name"], "rank_00000.safetensors");
  EXPECT_EQ(hash_text(read_bytes(path_ / "rank_00000.safetensors")).hex(), files[0]["blocks"][0]);
}

TEST_F(CheckpointTest, a_flipped_byte_anywhere_is_detected_and_its_file_named) {
  for (const auto& entry : fs::directory_iterator(path_)) {
    const std::string whole = read_bytes(entry.path());
    for (std::size_t place = 0; place < whole.size(); place += 3) {
      std::string flipped = whole;
      flipped[place] = static_cast<char>(~flipped[place]);
      write_bytes(entry.path(), flipped);
      expect_refused_when_read(entry.path().string());
    }
    write_bytes(entry.path(), whole);
  }
  EXPECT_EQ(Checkpoint::open(path_).state().step, 7);
}

// What lies in one block of a megabyte is read without another block's damage being seen, and the damaged tensor is
// named.
TEST_F(CheckpointTest, what_is_read_is_verified_and_nothing_else) {
  path_ = folder_.path() / "large";
  fs::create_directory(path_);
  const std::int64_t num_elements = 3 << 18;  // three blocks
  const at::Tensor values = at::arange(num_elements, at::kFloat);
  const std::vector<std::int64_t> shape{num_elements};
  write_checkpoint(path_, sample_state(1),
                   std::vector{SavedPiece{"model", "a", shape, whole_piece(shape), values},
                               SavedPiece{"model", "b", shape, whole_piece(shape), values}},
                   *solo_group());
  for (const int block : {5, 2, 3}) flip_byte(path_ / "rank_00000.safetensors", (block << 20) + 5);
  const TensorPiece first{.dim = -1, .part = {}, .flat = {.begin = 0, .length = 1000}};
  EXPECT_TRUE(load("model", "a", shape, first).equal(values.narrow(0, 0, 1000).to(at::kDouble)));
  const auto names_a = AllOf(HasSubstr("rank_00000.safetensors: bytes 2097152 to 3145728"), HasSubstr("model/a"));
  EXPECT_THAT([&] { (void)load("model", "a", shape, whole_piece(shape)); }, throws<AgreedError>(names_a));
  // By however many threads, it is the first of the damaged blocks that is told.
  for (int i = 0; i < 10; ++i) EXPECT_THAT([&] { Checkpoint::open(path_).verify(); }, throws<InputError>(names_a));
}

TEST_F(CheckpointTest, one_block_of_many_tensors_is_read_once) {
  std::vector<LoadRequest> requests;
  for (const SavedPiece& piece : sample_pieces(7)) requests.push_back(request_for(piece));
  EXPECT_EQ(load_pieces(Checkpoint::open(path_), requests, *solo_group()), 1);
  for (std::size_t i = 0; i < requests.size(); ++i) EXPECT_TRUE(requests[i].into.equal(sample_pieces(7)[i].value));
  EXPECT_EQ(load_pieces(Checkpoint::open(path_), {}, *solo_group()), 0);
}

TEST_F(CheckpointTest, pieces_must_make_up_each_tensor) {
  const fs::path half = folder_.path() / "half";
  fs::create_directory(half);
  std::vector<SavedPiece> pieces = sample_pieces(7);
  pieces.front().piece.flat.length = 5;
  pieces.front().value = pieces.front().value.narrow(0, 0, 5);
  write_checkpoint(half, sample_state(1), pieces, *solo_group());
  EXPECT_THAT([&] { (void)Checkpoint::open(half); },
              throws<InputError>(AllOf(HasSubstr("'a.weight' of 'exp_avg'"), HasSubstr("its pieces have 5"))));
}

TEST_F(CheckpointTest, says_what_is_cut_missing_or_foreign) {
  const fs::path model = path_ / "rank_00000.safetensors";
  fs::resize_file(model, 50);
  expect_refused(AllOf(HasSubstr(model.string()), HasSubstr("has 50 bytes; the manifest says")));
  fs::remove(model);
  expect_refused(AllOf(HasSubstr(model.string()), HasSubstr("No such file")));
  write_bytes(path_ / "manifest.json", "{}");
  expect_refused(HasSubstr("is not the manifest of a checkpoint"));
  for (const int version : {2, 9}) {
    write_bytes(path_ / "manifest.json",
                fmt::format(R"({{"format": "collimate.checkpoint", "format_version": {}}})", version));
    expect_refused(HasSubstr(fmt::format("format_version is {}; this version of collimate reads 3", version)));
  }
  fs::remove(path_ / "manifest.json");
  expect_refused(AllOf(HasSubstr("manifest.json"), HasSubstr("No such file")));
}

TEST_F(CheckpointTest, a_manifest_that_lacks_a_key_is_named_even_with_a_right_checksum) {
  std::string text = R"({"format": "collimate.checkpoint", "format_version": 3, "checksum": ")";
  const std::string rest = R"(", "step": 1})";
  text += hash_text(text + std::string(32, '0') + rest).hex() + rest;
  write_bytes(path_ / "manifest.json", text);
  expect_refused(AllOf(HasSubstr("is not a complete manifest"), HasSubstr("key")));
}

}  // namespace
}  // namespace collimate
