#include "collimate/config/compare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/config/sample.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Sample sample() {
  Sample made;
  made.lists.sources = {{.path = "a"}};
  made.lists.others = {{.path = "b"}};
  return made;
}

std::vector<FieldDifference> compare_samples(const Sample& first, const Sample& second) {
  return compare_fields(list_fields(first), list_fields(second));
}

TEST(CompareTest, equal_ones_have_no_difference) { EXPECT_THAT(compare_samples(sample(), sample()), IsEmpty()); }

TEST(CompareTest, names_key_role_and_both_values) {
  Sample other = sample();
  other.values.count = 9;
  other.values.rate = 5e-7;
  other.lists.rates = {1.0};
  other.lists.maybe = 2;
  const auto differences = compare_samples(sample(), other);
  EXPECT_THAT(differences, ElementsAre(FieldDifference{"values.count", Role::kLayout, "3", "9"},
                                       FieldDifference{"values.rate", Role::kSchedule, "0.5", "5.0e-07"},
                                       FieldDifference{"lists.rates", Role::kIdentity, "[1.0, 2.0]", "[1.0]"},
                                       FieldDifference{"lists.maybe", Role::kLayout, "auto", "2"}));
  EXPECT_EQ(differences[0].text(), "values.count: 3 -> 9");
}

TEST(CompareTest, an_element_has_the_weaker_of_its_own_role_and_the_role_of_its_list) {
  Sample other = sample();
  other.lists.sources[0] = {.path = "c", .repeat = 2};
  other.lists.others[0].repeat = 2;
  EXPECT_THAT(compare_samples(sample(), other),
              ElementsAre(FieldDifference{"lists.sources.0.path", Role::kOperational, "a", "c"},
                          FieldDifference{"lists.sources.0.repeat", Role::kIdentity, "1.0", "2.0"},
                          FieldDifference{"lists.others.0.repeat", Role::kSchedule, "1.0", "2.0"}));
}

TEST(CompareTest, lists_of_another_length_differ_in_their_number) {
  Sample other = sample();
  other.lists.sources.push_back({.path = "c"});
  EXPECT_THAT(compare_samples(sample(), other),
              ElementsAre(FieldDifference{"lists.sources", Role::kIdentity, "1 entry", "2 entries"}));
  EXPECT_THAT(compare_samples(other, sample()),
              ElementsAre(FieldDifference{"lists.sources", Role::kIdentity, "2 entries", "1 entry"}));
}

TEST(CompareTest, a_struct_that_may_be_unset_differs_in_that_or_in_its_fields) {
  Sample first = sample();
  Sample second = sample();
  second.lists.extra = {.path = "a", .repeat = 2};
  const FieldDifference set{"lists.extra", Role::kSchedule, "null", "set"};
  EXPECT_THAT(compare_samples(first, second), ElementsAre(set));
  first.lists.extra = {.path = "b"};
  EXPECT_THAT(compare_samples(first, second),
              ElementsAre(FieldDifference{"lists.extra.path", Role::kOperational, "b", "a"},
                          FieldDifference{"lists.extra.repeat", Role::kSchedule, "1.0", "2.0"}));
}

TEST(CompareTest, the_hash_changes_with_identity_alone) {
  const auto hash = [](const Sample& of) { return hash_identity(list_fields(of)); };
  Sample other = sample();
  other.values.count = 9;
  other.values.rate = 0;
  other.values.name = "elsewhere";
  other.lists.others.clear();
  EXPECT_EQ(hash(other), hash(sample()));
  other.values.seed = 6;
  EXPECT_NE(hash(other), hash(sample()));
  other = sample();
  other.lists.sources[0].repeat = 2;
  EXPECT_NE(hash(other), hash(sample()));
}

TEST(WalkTest, lists_every_key) {
  EXPECT_THAT(list_keys<SampleLists>(),
              ElementsAre("sources", "sources.0.path", "sources.0.repeat", "others", "others.0.path", "others.0.repeat",
                          "rates", "colours", "maybe", "place", "extra", "extra.path", "extra.repeat"));
}

TEST(WalkTest, makes_relative_paths_absolute_and_leaves_other_text) {
  Sample made = sample();
  made.lists.sources.push_back({.path = "/else/../where"});
  made.lists.place = "../c";
  made.lists.extra = {.path = "d"};
  make_paths_absolute(made, "/base/run");
  EXPECT_EQ(made.lists.sources[0].path, "/base/run/a");
  EXPECT_EQ(made.lists.sources[1].path, "/where");
  EXPECT_EQ(made.lists.place, "/base/c");
  EXPECT_EQ(made.lists.extra->path, "/base/run/d");
  EXPECT_EQ(made.values.name, "x");
}

}  // namespace
}  // namespace collimate
