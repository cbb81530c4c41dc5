#include "collimate/config/override.hpp"

#include <gtest/gtest.h>

#include "unit/config/sample.hpp"

namespace collimate {
namespace {

constexpr std::string_view kFile = "lists: {sources: [a, {path: b, repeat: 3}]}";

TEST(OverrideTest, replaces_values_of_the_file_and_defaults) {
  const Sample sample =
      load_sample(kFile, {"values.rate=1e-3", "values.name=x = y", "values.colour=green", "lists.rates=[3, 4]",
                          "lists.maybe=4", "lists.colours=red", "lists.place="});
  EXPECT_EQ(sample.values.rate, 1e-3);
  EXPECT_EQ(sample.values.name, "x = y");
  EXPECT_EQ(sample.values.colour, Colour::kGreen);
  EXPECT_EQ(sample.lists.rates, (std::vector<double>{3, 4}));
  EXPECT_EQ(sample.lists.maybe, 4);
  EXPECT_EQ(sample.lists.colours, std::vector{Colour::kRed});
  EXPECT_FALSE(sample.lists.place);
}

TEST(OverrideTest, reaches_elements_of_lists) {
  const Sample sample = load_sample(kFile, {"lists.sources.0.repeat=2", "lists.sources.1=c", "lists.rates.1=9"});
  EXPECT_EQ(sample.lists.sources, (std::vector<SampleSource>{{.path = "a", .repeat = 2}, {.path = "c", .repeat = 1}}));
  EXPECT_EQ(sample.lists.rates, (std::vector<double>{1, 9}));
}

TEST(OverrideTest, takes_effect_in_the_given_order) {
  const Sample sample =
      load_sample(kFile, {"lists.sources=x", "lists.sources.0.repeat=5", "values.count=1", "values.count=2"});
  EXPECT_EQ(sample.lists.sources, (std::vector<SampleSource>{{.path = "x", .repeat = 5}}));
  EXPECT_EQ(sample.values.count, 2);
}

TEST(OverrideTest, sets_changes_and_unsets_a_struct_that_may_be_unset) {
  EXPECT_EQ(load_sample(kFile, {"lists.extra={path: x, repeat: 2}"}).lists.extra->repeat, 2);
  EXPECT_EQ(load_sample(kFile, {"lists.extra=x", "lists.extra.repeat=5"}).lists.extra,
            (SampleSource{.path = "x", .repeat = 5}));
  EXPECT_EQ(load_sample(kFile, {"lists.extra.path=x"}).lists.extra, (SampleSource{.path = "x"}));
  EXPECT_FALSE(load_sample(kFile, {"lists.extra=x", "lists.extra=null"}).lists.extra);
  EXPECT_EQ(message_of(kFile, {"lists.extra.repeat=5"}),
            "--set lists.extra.repeat=5: lists.extra.path: missing; expected a path");
}

TEST(OverrideTest, gives_a_required_key_that_the_file_lacks) {
  EXPECT_EQ(load_sample("values: {count: 1}", {"lists.sources=[a, b]"}).lists.sources.size(), 2);
}

TEST(OverrideTest, a_replaced_list_needs_its_own_required_keys) {
  EXPECT_EQ(message_of(kFile, {"lists.sources=[{repeat: 2}]"}),
            "--set lists.sources=[{repeat: 2}]: lists.sources.0.path: missing; expected a path");
}

TEST(OverrideTest, does_not_mend_what_is_wrong_in_the_file) {
  EXPECT_EQ(message_of("values: {count: x}\nlists: {sources: a}", {"values.count=1"}),
            "f:1:17: values.count: expected a whole number, at least 1, got x");
}

struct BadOverride {
  const char* description;
  std::string text;
  std::string message;
};

class OverrideBadTest : public ::testing::TestWithParam<BadOverride> {};

TEST_P(OverrideBadTest, is_refused_with_the_override_as_place) {
  EXPECT_EQ(message_of(kFile, {GetParam().text}), "--set " + GetParam().text + ": " + GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Override, OverrideBadTest,
    ::testing::Values(
        BadOverride{"no_equals_sign", "values.count", "expected key.path=value, as in objective.beta=0.2"},
        BadOverride{"no_key", "=3", "expected key.path=value, as in objective.beta=0.2"},
        BadOverride{"empty_key", "values..count=3", "expected key.path=value, as in objective.beta=0.2"},
        BadOverride{"misspelt_key", "values.cuont=3", "values.cuont: unknown key (did you mean values.count?)"},
        BadOverride{"unlike_section", "other.count=3", "other: unknown key; expected one of values, lists"},
        BadOverride{"bad_value", "values.rate=3x", "values.rate: expected a number, from 0 to 1, got 3x"},
        BadOverride{"not_yaml", "lists.rates=[1", "lists.rates: not valid YAML: end of sequence flow not found"},
        BadOverride{"two_documents", "values.name=a\n---\nb",
                    "values.name: text after the end of the document; expected one YAML document"},
        BadOverride{"alias", "values.rate=*x", "values.rate: not valid YAML: the referenced anchor is not defined"},
        BadOverride{"no_text", "values.name=a\xff",
                    "values.name: the byte 0xff is not text; expected a YAML file in UTF-8"},
        BadOverride{"null_value", "values.count=", "values.count: expected a whole number, at least 1, got null"},
        BadOverride{"whole_section", "values={count: 3}", "values: is a section; expected the path of one of its keys"},
        BadOverride{"below_a_value", "values.count.x=3", "values.count.x: unknown key: values.count is a single value"},
        BadOverride{"index_too_large", "lists.sources.2.repeat=3",
                    "lists.sources.2: expected an index from 0 to 1, got 2"},
        BadOverride{"negative_index", "lists.rates.-1=3", "lists.rates.-1: expected an index from 0 to 1, got -1"},
        BadOverride{"word_as_index", "lists.sources.first=a",
                    "lists.sources.first: expected an index from 0 to 1, got first"},
        BadOverride{"index_of_empty_list", "lists.others.0=a",
                    "lists.others.0: expected no index, the list is empty, got 0"},
        BadOverride{"key_of_element", "lists.sources.0.paht=a",
                    "lists.sources.0.paht: unknown key (did you mean lists.sources.0.path?)"}),
    [](const auto& test) { return test.param.description; });

}  // namespace
}  // namespace collimate
