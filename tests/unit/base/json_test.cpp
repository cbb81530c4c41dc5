#include "collimate/base/json.hpp"

#include <nlohmann/json.hpp>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(JsonTest, refuses_what_is_wrong_or_repeats_a_key) {
  EXPECT_EQ(parse_json(R"({"a": 1, "b": {"a": 2}})", "x.json")["b"]["a"], 2);
  EXPECT_THAT([] { (void)parse_json(R"({"a": 1, "b": {"c": 2, "c": 3}})", "x.json"); },
              throws<InputError>(HasSubstr("x.json: the key \"c\" is repeated")));
  EXPECT_THAT([] { (void)parse_json("{\"a\": 1,\n \"b\": }", "x.json"); },
              throws<InputError>(AllOf(HasSubstr("x.json: is not valid JSON"), HasSubstr("line 2"))));
  EXPECT_THAT([] { (void)parse_json("{} x", "x.json"); }, throws<InputError>(HasSubstr("not valid JSON")));
  EXPECT_THAT([] { (void)parse_json("{\"a\": 1e999}", "x.json"); }, throws<InputError>(HasSubstr("number overflow")));
}

TEST(JsonTest, refuses_deep_nesting) {
  EXPECT_EQ(parse_json(nested(100), "x.json").size(), 1U);
  EXPECT_THAT([] { (void)parse_json(nested(101), "x.json"); },
              throws<InputError>(HasSubstr("x.json: is nested more than 100 levels deep")));
  EXPECT_THAT([] { (void)parse_json(nested(1'000'000), "x.json"); }, throws<InputError>(HasSubstr("nested")));
}

TEST(JsonTest, finds_whole_numbers_that_fit) {
  EXPECT_EQ(find_whole_number(nlohmann::json::parse("-9223372036854775808")), INT64_MIN);
  EXPECT_EQ(find_whole_number(nlohmann::json::parse("9223372036854775807")), INT64_MAX);
  for (const char* other :
       {"9223372036854775808", "18446744073709551615", "1.0", "1e300", "\"1\"", "true", "null", "[1]"}) {
    EXPECT_EQ(find_whole_number(nlohmann::json::parse(other)), std::nullopt) << other;
  }
}

}  // namespace
}  // namespace collimate
