#include "collimate/config/reader.hpp"

#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "unit/config/sample.hpp"

namespace collimate {
namespace {

/// A file that is right but for one value of the section `values`, in line 1 from column 10.
std::string with_value(const std::string& entry) { return "values: {" + entry + "}\nlists: {sources: a}\n"; }

struct BadValue {
  const char* description;
  std::string entry;
  std::string message;
};

class ReaderBadValueTest : public ::testing::TestWithParam<BadValue> {};

TEST_P(ReaderBadValueTest, is_refused_with_what_would_be_right) {
  EXPECT_EQ(message_of(with_value(GetParam().entry)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Reader, ReaderBadValueTest,
    ::testing::Values(
        BadValue{"word_for_bool", "flag: yes", "f:1:16: values.flag: expected true or false, got yes"},
        BadValue{"number_for_bool", "flag: 1", "f:1:16: values.flag: expected true or false, got 1"},
        BadValue{"quoted_bool", "flag: \"true\"", "f:1:16: values.flag: expected true or false, got \"true\""},
        BadValue{"capital_bool", "flag: True", "f:1:16: values.flag: expected true or false, got True"},
        BadValue{"fraction_for_integer", "wide: 1.5", "f:1:16: values.wide: expected a whole number, got 1.5"},
        BadValue{"float_for_integer", "wide: 1.0", "f:1:16: values.wide: expected a whole number, got 1.0"},
        BadValue{"exponent_for_integer", "wide: 1e3", "f:1:16: values.wide: expected a whole number, got 1e3"},
        BadValue{"integer_with_tail", "wide: 3x", "f:1:16: values.wide: expected a whole number, got 3x"},
        BadValue{"octal_look", "wide: 010", "f:1:16: values.wide: expected a whole number, got 010"},
        BadValue{"hexadecimal", "wide: 0x10", "f:1:16: values.wide: expected a whole number, got 0x10"},
        BadValue{"grouped_digits", "wide: 1_000", "f:1:16: values.wide: expected a whole number, got 1_000"},
        BadValue{"double_sign", "wide: +-1", "f:1:16: values.wide: expected a whole number, got +-1"},
        BadValue{"quoted_integer", "wide: '3'", "f:1:16: values.wide: expected a whole number, got \"3\""},
        BadValue{"null_for_integer", "wide: null", "f:1:16: values.wide: expected a whole number, got null"},
        BadValue{"list_for_integer", "wide: [1]", "f:1:16: values.wide: expected a whole number, got a list"},
        BadValue{"map_for_integer", "wide: {a: 1}", "f:1:16: values.wide: expected a whole number, got a map"},
        BadValue{"int64_overflow", "wide: 9223372036854775808",
                 "f:1:16: values.wide: expected a whole number from -9223372036854775808 to 9223372036854775807, got "
                 "9223372036854775808"},
        BadValue{
            "int_overflow", "count: 2147483648",
            "f:1:17: values.count: expected a whole number from -2147483648 to 2147483647, at least 1, got 2147483648"},
        BadValue{"negative_unsigned", "seed: -1",
                 "f:1:16: values.seed: expected a whole number from 0 to 18446744073709551615, got -1"},
        BadValue{
            "uint64_overflow", "seed: 18446744073709551616",
            "f:1:16: values.seed: expected a whole number from 0 to 18446744073709551615, got 18446744073709551616"},
        BadValue{"integer_out_of_range", "count: 0",
                 "f:1:17: values.count: expected a whole number, at least 1, got 0"},
        BadValue{"neither_count_nor_unlimited", "limit: 0",
                 "f:1:17: values.limit: expected a whole number, at least 1, or -1 for no limit, got 0"},
        BadValue{"float_with_tail", "rate: 0.1x", "f:1:16: values.rate: expected a number, from 0 to 1, got 0.1x"},
        BadValue{"float_with_comma", "rate: \"0,1\"",
                 "f:1:16: values.rate: expected a number, from 0 to 1, got \"0,1\""},
        BadValue{"dangling_exponent", "rate: 1e", "f:1:16: values.rate: expected a number, from 0 to 1, got 1e"},
        BadValue{"word_for_float", "rate: high", "f:1:16: values.rate: expected a number, from 0 to 1, got high"},
        BadValue{"infinity_word", "free: infinity", "f:1:16: values.free: expected a number, got infinity"},
        BadValue{"yaml_nan", "free: .nan", "f:1:16: values.free: expected a finite number, got .nan"},
        BadValue{"plain_nan", "free: nan", "f:1:16: values.free: expected a finite number, got nan"},
        BadValue{"yaml_inf", "free: -.inf", "f:1:16: values.free: expected a finite number, got -.inf"},
        BadValue{"plain_inf", "free: inf", "f:1:16: values.free: expected a finite number, got inf"},
        BadValue{"float_overflow", "free: 1e400",
                 "f:1:16: values.free: expected a number within the range of 64-bit floats, got 1e400"},
        BadValue{"float_underflow", "free: 1e-400",
                 "f:1:16: values.free: expected a number within the range of 64-bit floats, got 1e-400"},
        BadValue{"float_above_range", "rate: 1.5", "f:1:16: values.rate: expected a number, from 0 to 1, got 1.5"},
        BadValue{"float_at_open_end", "open: 1",
                 "f:1:16: values.open: expected a number, at least 0 and below 1, got 1"},
        BadValue{"float_above_only_bound", "low: 0.5", "f:1:15: values.low: expected a number, at most 0, got 0.5"},
        BadValue{"number_for_text", "name: 5",
                 "f:1:16: values.name: expected text (in quotes if it is meant so), got 5"},
        BadValue{"bool_for_text", "name: true",
                 "f:1:16: values.name: expected text (in quotes if it is meant so), got true"},
        BadValue{"null_for_text", "name:", "f:1:15: values.name: expected text, got null"},
        BadValue{"list_for_text", "name: [a]", "f:1:16: values.name: expected text, got a list"},
        BadValue{"unlike_name", "colour: blue", "f:1:18: values.colour: expected one of red, green, got blue"},
        BadValue{"misspelt_name", "colour: grene",
                 "f:1:18: values.colour: expected one of red, green, got grene (did you mean green?)"},
        BadValue{"name_in_capitals", "colour: RED",
                 "f:1:18: values.colour: expected one of red, green, got RED (did you mean red?)"},
        BadValue{"only_name", "shape: square", "f:1:17: values.shape: expected round, got square"},
        BadValue{"list_for_name", "colour: [red]", "f:1:18: values.colour: expected one of red, green, got a list"},
        BadValue{"long_value", "wide: " + std::string(70, 'a'),
                 "f:1:16: values.wide: expected a whole number, got " + std::string(60, 'a') + "..."},
        BadValue{"duplicate_key", "count: 1, count: 2",
                 "f:1:20: values.count: duplicate key, first given at line 1; expected it once"},
        BadValue{"key_of_another_section", "others: a",
                 "f:1:10: values.others: unknown key (did you mean lists.others?)"},
        BadValue{"misspelt_key", "colur: red", "f:1:10: values.colur: unknown key (did you mean values.colour?)"},
        BadValue{"misspelt_key_of_another_section_too", "rates: 1",
                 "f:1:10: values.rates: unknown key (did you mean lists.rates or values.rate?)"},
        BadValue{
            "unlike_key", "temperature: 1",
            "f:1:10: values.temperature: unknown key; expected one of flag, count, wide, seed, rate, free, open, low, "
            "limit, name, colour, shape"}),
    [](const auto& test) { return test.param.description; });

/// A file that is right but for one value of the section `lists`, in line 1 from column 9.
std::string lists(const std::string& entries) { return "lists: {" + entries + "}\n"; }

class ReaderBadListTest : public ::testing::TestWithParam<BadValue> {};

TEST_P(ReaderBadListTest, is_refused_with_what_would_be_right) {
  EXPECT_EQ(message_of(lists(GetParam().entry)), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Reader, ReaderBadListTest,
    ::testing::Values(
        BadValue{"required_list", "rates: 1", "f:1:1: lists.sources: missing; expected a list"},
        BadValue{"required_key_of_element", "sources: [a, {repeat: 2}]",
                 "f:1:22: lists.sources.1.path: missing; expected a path"},
        BadValue{"null_for_list", "sources: null", "f:1:18: lists.sources: expected a list, got null"},
        BadValue{"map_for_list", "sources: {path: a}", "f:1:18: lists.sources: expected a list, got a map"},
        BadValue{"list_in_list", "sources: [[a]]",
                 "f:1:19: lists.sources.0: expected a map of keys, or its path alone, got a list"},
        BadValue{"null_in_list", "sources: [a, null]",
                 "f:1:22: lists.sources.1: expected a map of keys, or its path alone, got null"},
        BadValue{"number_for_path", "sources: 3", "f:1:18: lists.sources.0.path: expected a path, got 3"},
        BadValue{"empty_path", "sources: ''", "f:1:18: lists.sources.0.path: expected a path, got \"\""},
        BadValue{"path_with_nul", "sources: \"a\\0b\"",
                 "f:1:18: lists.sources.0.path: expected a path, got \"a\\x00b\""},
        BadValue{"bad_value_in_element", "sources: [{path: a, repeat: 0}]",
                 "f:1:37: lists.sources.0.repeat: expected a number, above 0, got 0"},
        BadValue{"unknown_key_in_element", "sources: [{path: a, repeats: 1}]",
                 "f:1:29: lists.sources.0.repeats: unknown key (did you mean lists.sources.0.repeat?)"},
        BadValue{"bad_element", "sources: a, rates: [1, x]",
                 "f:1:32: lists.rates.1: expected a number, above 0, got x"},
        BadValue{"bad_scalar_for_list", "sources: a, rates: -1",
                 "f:1:28: lists.rates: expected a number, above 0, got -1"},
        BadValue{"bad_name_in_list", "sources: a, colours: [red, gren]",
                 "f:1:36: lists.colours.1: expected one of red, green, got gren (did you mean green?)"},
        BadValue{"null_where_auto", "sources: a, maybe: null",
                 "f:1:28: lists.maybe: expected a whole number, at least 1, or auto, got null"},
        BadValue{"quoted_auto", "sources: a, maybe: 'auto'",
                 "f:1:28: lists.maybe: expected a whole number, at least 1, or auto, got \"auto\""},
        BadValue{"bad_optional", "sources: a, maybe: 0",
                 "f:1:28: lists.maybe: expected a whole number, at least 1, or auto, got 0"},
        BadValue{"list_for_optional_struct", "sources: a, extra: [a]",
                 "f:1:28: lists.extra: expected a map of keys, or its path alone, or null, got a list"},
        BadValue{"bad_value_in_optional_struct", "sources: a, extra: {path: a, repeat: 0}",
                 "f:1:46: lists.extra.repeat: expected a number, above 0, got 0"},
        BadValue{"required_key_of_optional_struct", "sources: a, extra: {repeat: 1}",
                 "f:1:21: lists.extra.path: missing; expected a path"},
        BadValue{"unknown_key_in_optional_struct", "sources: a, extra: {path: a, repaet: 1}",
                 "f:1:38: lists.extra.repaet: unknown key (did you mean lists.extra.repeat?)"},
        BadValue{"bad_optional_path", "sources: a, place: 1", "f:1:28: lists.place: expected a path, or null, got 1"}),
    [](const auto& test) { return test.param.description; });

TEST(ReaderTest, takes_defaults_for_what_is_not_given) {
  Sample expected;
  expected.lists.sources = {{.path = "a"}};
  EXPECT_EQ(load_sample("lists: {sources: a}"), expected);
}

TEST(ReaderTest, reads_every_kind_of_value) {
  const Sample sample = load_sample(R"(
values: {flag: true, count: 7, wide: -9223372036854775808, seed: 18446744073709551615, rate: 5.0e-7, free: -.5,
         open: 0, low: -0, limit: 12, name: "3", colour: green}
lists:
  sources: [a.h5, {path: b.h5, repeat: 2}]
  others: []
  rates: 1e-6
  colours: red
  maybe: 2
  place: ../x y
  extra: {path: c.h5}
)");
  const SampleValues values{.flag = true,
                            .count = 7,
                            .wide = std::numeric_limits<std::int64_t>::min(),
                            .seed = std::numeric_limits<std::uint64_t>::max(),
                            .rate = 5.0e-7,
                            .free = -0.5,
                            .open = 0,
                            .low = 0,
                            .limit = 12,
                            .name = "3",
                            .colour = Colour::kGreen};
  EXPECT_EQ(sample.values, values);
  const SampleLists expected{.sources = {{.path = "a.h5"}, {.path = "b.h5", .repeat = 2}},
                             .others = {},
                             .rates = {1e-6},
                             .colours = {Colour::kRed},
                             .maybe = 2,
                             .place = "../x y",
                             .extra = {{.path = "c.h5"}}};
  EXPECT_EQ(sample.lists, expected);
}

TEST(ReaderTest, reads_plus_signs_and_words_for_unset) {
  const Sample sample =
      load_sample("values: {wide: +3, free: +1.5}\nlists: {sources: a, maybe: auto, place: null, extra: null}");
  EXPECT_EQ(sample.values.wide, 3);
  EXPECT_EQ(sample.values.free, 1.5);
  EXPECT_FALSE(sample.lists.maybe);
  EXPECT_FALSE(sample.lists.place);
  EXPECT_FALSE(sample.lists.extra);
}

TEST(ReaderTest, a_section_must_be_a_map) {
  EXPECT_EQ(message_of("values:\nlists: {sources: a}"), "f:1:1: values: expected a map of keys, got null");
  EXPECT_EQ(message_of("values: 3\nlists: {sources: a}"), "f:1:9: values: expected a map of keys, got 3");
  EXPECT_EQ(message_of("values: [a]\nlists: {sources: a}"), "f:1:9: values: expected a map of keys, got a list");
}

TEST(ReaderTest, nothing_is_said_to_be_missing_within_a_section_that_is_no_map) {
  EXPECT_EQ(message_of("lists: 3"), "f:1:8: lists: expected a map of keys, got 3");
}

TEST(ReaderTest, a_missing_key_has_the_place_of_its_section_or_of_the_file) {
  EXPECT_EQ(message_of("values: {count: 1}\n\nlists:\n  rates: 1\n"), "f:3:1: lists.sources: missing; expected a list");
  EXPECT_EQ(message_of("values: {count: 1}\n"), "f:1:1: lists.sources: missing; expected a list");
}

TEST(ReaderTest, all_that_is_wrong_is_told_at_once_in_the_order_of_the_file) {
  EXPECT_EQ(message_of("valuse: {}\nlists:\n  rates: [0, 1, x]\n  maybe: &a 3\n  maybe: 4\n", {"values.count=0"}),
            "f:1:1: valuse: unknown key (did you mean values?)\n"
            "f:2:1: lists.sources: missing; expected a list\n"
            "f:3:11: lists.rates.0: expected a number, above 0, got 0\n"
            "f:3:17: lists.rates.2: expected a number, above 0, got x\n"
            "f:4:10: an anchor: anchors are not supported; write the value out where it is needed\n"
            "f:5:3: lists.maybe: duplicate key, first given at line 4; expected it once\n"
            "--set values.count=0: values.count: expected a whole number, at least 1, got 0");
}

TEST(ReaderTest, the_error_is_bad_input_and_holds_the_list) {
  try {
    load_sample("a: 1\nb: 2\n");
    FAIL() << "read";
  } catch (const ConfigError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadInput);
    ASSERT_EQ(error.findings().size(), 3);
    EXPECT_EQ(error.findings()[2].key_path, "b");
    EXPECT_EQ(error.findings()[2].place, (Place{.source = "f", .line = 2, .column = 1}));
  }
}

}  // namespace
}  // namespace collimate
