#include "collimate/io/safetensors.hpp"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::span<const std::byte> bytes_of(const std::vector<float>& values) { return std::as_bytes(std::span(values)); }

class SafetensorsTest : public ::testing::Test {
 protected:
  std::string path(const std::string& name = "a.safetensors") const { return folder_.path() / name; }

  void write_sample() const {
    OutputFile file(path());
    SafetensorsWriter writer(file, {{"b", StorageDtype::kF32, {2, 3}},
                                    {"a", StorageDtype::kBF16, {2}},
                                    {"empty", StorageDtype::kF32, {0, 4}},
                                    {"scalar", StorageDtype::kF32, {}}});
    const std::vector<float> matrix{1, 2, 3, 4, 5, 6};
    const std::vector<float> scalar{7};
    writer.append(bytes_of(matrix).first(5));
    writer.append(bytes_of(matrix).subspan(5));
    writer.append(bytes_of(scalar));
    writer.append({});
    writer.append(bytes_of(scalar));
    writer.finish();
    file.close();
  }

  /// A file with this header text and `data_bytes` zeros after it.
  void write_header(const std::string& header, std::size_t data_bytes) const {
    std::string content(8, '\0');
    const std::uint64_t length = header.size();
    std::memcpy(content.data(), &length, 8);
    write_bytes(path(), content + header + std::string(data_bytes, '\0'));
  }

  void expect_refused(const std::string& header, std::size_t data_bytes, const std::string& reason) const {
    write_header(header, data_bytes);
    EXPECT_THAT([&] { SafetensorsFile{path()}; }, throws<InputError>(AllOf(HasSubstr(path()), HasSubstr(reason))))
        << header;
  }

  TemporaryFolder folder_;
};

TEST_F(SafetensorsTest, reads_back_what_was_written) {
  write_sample();
  const SafetensorsFile file(path());
  ASSERT_EQ(file.tensors().size(), 4U);
  EXPECT_EQ(file.tensors()[0].name, "b");
  EXPECT_THAT(file.tensors()[0].shape, ElementsAre(2, 3));
  EXPECT_EQ(file.find("a")->dtype, StorageDtype::kBF16);
  EXPECT_EQ(file.find("a")->bytes.size(), 4U);
  EXPECT_EQ(file.find("empty")->bytes.size(), 0U);
  EXPECT_EQ(file.find("c"), nullptr);
  float last = 0;
  std::memcpy(&last, file.find("b")->bytes.data() + 20, 4);
  EXPECT_EQ(last, 6.0F);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  EXPECT_EQ((file.file_bytes().size() - 32) % 8, 0U);
}

TEST_F(SafetensorsTest, writer_holds_to_what_it_declared) {
  OutputFile file(path());
  SafetensorsWriter writer(file, {{"a", StorageDtype::kF32, {2}}});
  EXPECT_THROW(writer.append(std::as_bytes(std::span("nine byte", 9))), InvariantError);
  EXPECT_THROW(writer.finish(), InvariantError);
}

TEST_F(SafetensorsTest, refuses_bad_headers_naming_tensor_value_and_what_is_right) {
  const auto entry = [](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return R"({"w":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  expect_refused(entry(R"("F31")", "[2]", "[0,8]"), 8, R"(tensor 'w': dtype is "F31")");
  expect_refused(entry("3", "[2]", "[0,8]"), 8, "dtype is 3");
  expect_refused(entry(R"("F32")", "[-2]", "[0,8]"), 8, "shape is [-2]; a list of whole numbers");
  expect_refused(entry(R"("F32")", "[2.0]", "[0,8]"), 8, "shape is [2.0]");
  expect_refused(entry(R"("F32")", "2", "[0,8]"), 8, "shape is 2");
  expect_refused(entry(R"("F32")", "[2]", "[8,0]"), 8, "data_offsets are [8, 0]; begin and end are expected");
  expect_refused(entry(R"("F32")", "[2]", "[0,4,8]"), 8, "data_offsets are [0, 4, 8]");
  expect_refused(entry(R"("F32")", "[3]", "[0,8]"), 8, "hold 8 bytes, but F32 of shape [3] has 12");
  expect_refused(entry(R"("F32")", "[4294967296,4294967296]", "[0,8]"), 8, "more elements than can be");
  expect_refused(entry(R"("F32")", "[2]", "[0,8]"), 9, "have 8 bytes, but 9 follow");
  expect_refused(entry(R"("F32")", "[2]", "[0,8]"), 7, "have 8 bytes, but 7 follow");
  expect_refused(entry(R"("F32")", "[2]", "[4,12]"), 12, "data begin at 4, but the tensor before ends at 0");
  expect_refused(R"({"w":{"dtype":"F32","shape":[2]}})", 8, "has no \"data_offsets\"");
  expect_refused(R"({"w":5})", 8, "has no \"dtype\"");
  expect_refused(R"({"__metadata__":{"format":1}})", 0, "\"format\" is 1; text is expected");
  expect_refused(R"({"w":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},"w":{}})", 0, "key \"w\" is repeated");
  expect_refused(R"([1])", 0, "not a JSON object");
  expect_refused(R"({"w":)", 0, "not valid JSON");
  expect_refused(R"({"__metadata__":"pt"})", 0, "__metadata__ is \"pt\"; an object is expected");
  expect_refused(R"({"w":{"dtype":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}}", 0, "nested");
}

TEST_F(SafetensorsTest, refuses_tensors_that_overlap) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                 R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                 12, "tensor 'b': data begin at 4, but the tensor before ends at 8");
}

TEST_F(SafetensorsTest, refuses_a_file_cut_at_any_place) {
  write_sample();
  const std::string whole = read_bytes(path());
  for (std::size_t kept = 0; kept < whole.size(); ++kept) {
    write_bytes(path(), whole.substr(0, kept));
    EXPECT_THAT([&] { SafetensorsFile{path()}; }, throws<InputError>(HasSubstr(path()))) << kept;
  }
}

TEST_F(SafetensorsTest, any_flipped_bit_of_the_header_is_refused_or_changes_no_more_than_names) {
  write_sample();
  const std::string whole = read_bytes(path());
  const std::size_t header_end = whole.size() - 32;
  int num_refused = 0;
  for (std::size_t bit = 0; bit < header_end * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    write_bytes(path(), flipped);
    try {
      const SafetensorsFile file(path());
      // What is left to the model's own check of names and shapes: every tensor still covers its own bytes.
      for (const TensorView& tensor : file.tensors()) EXPECT_EQ(tensor.bytes.size(), tensor.num_bytes());
    } catch (const InputError&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, static_cast<int>(header_end * 8) * 3 / 4);
}

}  // namespace
}  // namespace collimate
