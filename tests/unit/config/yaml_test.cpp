#include <string>

#include <gtest/gtest.h>

#include "collimate/config/node.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"
#include "unit/config/sample.hpp"

namespace collimate {
namespace {

struct BadText {
  const char* description;
  std::string text;
  std::string message;
};

class YamlBadTextTest : public ::testing::TestWithParam<BadText> {};

TEST_P(YamlBadTextTest, is_refused_with_its_place) { EXPECT_EQ(message_of(GetParam().text), GetParam().message); }

INSTANTIATE_TEST_SUITE_P(
    Yaml, YamlBadTextTest,
    ::testing::Values(
        BadText{"empty", "", "f:1:1: the file is empty; expected a map of sections"},
        BadText{"comment_only", "# nothing\n\n", "f:1:1: the file is empty; expected a map of sections"},
        BadText{"empty_document", "---\n", "f:1:1: the file is empty; expected a map of sections"},
        BadText{"list_as_root", "- 1\n", "f:1:1: expected a map of sections, got a list"},
        BadText{"scalar_as_root", "\n hello\n", "f:2:2: expected a map of sections, got hello"},
        BadText{"open_quote", "lists:\n  sources: \"a\n", "f:4:1: not valid YAML: quotes that are not closed"},
        BadText{"tab_indent", "lists:\n\t- b\n", "f:2:2: not valid YAML: illegal block entry"},
        BadText{"map_in_map_line", "lists: b: c\n", "f:1:9: not valid YAML: illegal map value"},
        BadText{"newer_yaml", "%YAML 3.0\n---\nlists: {sources: a}\n",
                "f:1:1: not valid YAML: YAML major version too large"},
        BadText{"too_deep", std::string(5000, '['), "f:1:1: nested too deeply; expected a map of sections"},
        BadText{"stray_bracket", "lists: {sources: a}\n]\n", "f:2:1: not valid YAML: illegal flow end"},
        BadText{"second_document", "lists: {sources: a}\n---\nlists: {sources: b}\n",
                "f:2:1: text after the end of the document; expected one YAML document"},
        BadText{"text_after_end", "lists: {sources: a}\n...\nlists: {}\n",
                "f:3:1: text after the end of the document; expected one YAML document"},
        BadText{"tag", "lists: {sources: !!str a}\n",
                "f:1:18: the tag tag:yaml.org,2002:str: tags are not supported; leave it out"},
        BadText{"tag_of_map", "lists: !x {sources: 3}\n", "f:1:8: the tag !x: tags are not supported; leave it out"},
        BadText{"null_as_key", "lists: {sources: a}\n~: 2\n", "f:2:1: expected a word as key, got null"},
        BadText{"list_as_key", "? [1]\n: 2\nlists: {sources: a}\n", "f:1:3: expected a word as key, got a list"}),
    [](const auto& test) { return test.param.description; });

TEST(YamlTest, refuses_anchors_and_aliases_without_further_findings) {
  EXPECT_EQ(message_of("values: {rate: &x 0.1, free: *x}\nlists: {sources: a}\n"),
            "f:1:16: an anchor: anchors are not supported; write the value out where it is needed\n"
            "f:1:30: an alias: aliases are not supported; write the value out");
}

TEST(YamlTest, refuses_merge_keys) {
  EXPECT_EQ(message_of("values:\n  <<: {rate: 0.1}\nlists: {sources: a}\n"),
            "f:2:3: a merge key: merge keys are not supported; write the keys out");
}

TEST(YamlTest, names_the_place_of_bytes_that_are_no_text) {
  EXPECT_EQ(message_of("values:\n  name: a\xff\n"), "f:2:10: the byte 0xff is not text; expected a YAML file in UTF-8");
  EXPECT_EQ(message_of(std::string("a\0b", 3)), "f:1:2: the byte 0x00 is not text; expected a YAML file in UTF-8");
  // The library takes 0x04 for the end of the file, and would leave the rest out.
  EXPECT_EQ(message_of("lists: {sources: a}\n\x04junk"),
            "f:2:1: the byte 0x04 is not text; expected a YAML file in UTF-8");
}

TEST(YamlTest, knows_well_formed_utf8) {
  const auto is_text = [](std::string_view text) {
    Findings findings({.source = "f", .line = 1, .column = 1});
    parse_yaml(text, {.source = "f", .line = 1, .column = 1}, findings);
    return findings.empty();
  };
  for (const std::string_view good :
       {"\xef\xbb\xbf#", "\xc3\xa9", "\xe2\x82\xac", "\xed\x9f\xbf", "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(is_text(good)) << good;
  }
  for (const std::string_view bad : {"\x80", "\xc0\x80", "\xc3", "\xe2\x82", "\xe0\x80\x80", "\xed\xa0\x80",
                                     "\xf0\x80\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3\x28"}) {
    EXPECT_FALSE(is_text(bad)) << bad;
  }
}

TEST(YamlTest, reads_crlf_and_a_byte_order_mark) {
  EXPECT_EQ(load_sample("\xef\xbb\xbfvalues:\r\n  count: 7\r\nlists:\r\n  sources: a\r\n").values.count, 7);
}

TEST(YamlTest, a_file_that_cannot_be_read_is_named) {
  const TemporaryFolder folder;
  const std::string missing = (folder.path() / "missing.yaml").string();
  EXPECT_THAT([&] { read_config_file(missing); },
              throws<ConfigError>(missing + ": cannot be read (No such file or directory); expected a YAML file"));
  EXPECT_THAT([&] { read_config_file(folder.path().string()); },
              throws<ConfigError>(folder.path().string() + ": cannot be read (Is a directory); expected a YAML file"));
}

TEST(YamlTest, a_file_is_read_whole) {
  const TemporaryFolder folder;
  const std::string text(200000, 'x');
  write_bytes(folder.path() / "a.yaml", text);
  EXPECT_EQ(read_config_file((folder.path() / "a.yaml").string()), text);
}

}  // namespace
}  // namespace collimate
