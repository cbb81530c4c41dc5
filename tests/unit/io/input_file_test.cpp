#include "collimate/io/input_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(InputFileTest, reads_and_maps_the_same_bytes) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "a.bin";
  const std::string content("a\0b\n", 4);
  write_bytes(path, content);
  EXPECT_EQ(read_text_file(path), content);
  const MappedFile mapped(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()), content);
}

TEST(InputFileTest, maps_an_empty_file) {
  const TemporaryFolder folder;
  write_bytes(folder.path() / "empty", "");
  EXPECT_TRUE(MappedFile(folder.path() / "empty").bytes().empty());
}

TEST(InputFileTest, reads_any_place_and_says_where_a_file_ends) {
  const TemporaryFolder folder;
  const std::string path = folder.path() / "a.bin";
  write_bytes(path, "0123456789");
  const InputFile file(path);
  std::string text(4, '?');
  const std::span<std::byte> into = std::as_writable_bytes(std::span(text));
  file.read(3, into);
  EXPECT_EQ(text, "3456");
  file.read(10, into.first(0));
  std::filesystem::resize_file(path, 5);
  EXPECT_THAT([&] { file.read(3, into); },
              throws<InputError>(HasSubstr(path + ": ends at byte 5, but bytes up to 7 are expected")));
  EXPECT_THAT([&] { (void)InputFile(folder.path()); }, throws<InputError>(HasSubstr("is not a file")));
}

TEST(InputFileTest, names_path_and_reason_when_a_file_cannot_be_read) {
  const TemporaryFolder folder;
  const std::string missing = folder.path() / "missing";
  EXPECT_THAT([&] { (void)read_text_file(missing); },
              throws<InputError>(AllOf(HasSubstr(missing), HasSubstr("No such file"))));
  EXPECT_THAT([&] { (void)MappedFile(missing); }, throws<InputError>(HasSubstr(missing)));
  EXPECT_THAT([&] { (void)read_text_file(folder.path()); }, throws<InputError>(HasSubstr("is not a file")));
  EXPECT_EQ(find_text_file(missing), std::nullopt);
}

TEST(InputFileTest, knows_names_that_lead_nowhere_else) {
  EXPECT_TRUE(is_plain_file_name("model-00001-of-00002.safetensors"));
  EXPECT_TRUE(is_plain_file_name(std::string(255, 'n')));
  for (const std::string& other : {std::string(), std::string(".."), std::string(".hidden"), std::string("a/b"),
                                   std::string("/a"), std::string("a\0b", 3), std::string(256, 'n')}) {
    EXPECT_FALSE(is_plain_file_name(other)) << other;
  }
}

}  // namespace
}  // namespace collimate
