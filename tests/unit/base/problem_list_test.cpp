#include "collimate/base/problem_list.hpp"

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(ProblemListTest, tells_each_cause_once_with_its_first_place_and_how_many_more) {
  ProblemList problems;
  EXPECT_TRUE(problems.empty());
  EXPECT_EQ(problems.text("\n"), "");
  problems.add("label", "pair 3: label 2");
  problems.add("weight", "pair 4: weight -1");
  problems.add("label", "pair 5: label 7");
  problems.add("label", "pair 9: label 2");
  EXPECT_FALSE(problems.empty());
  EXPECT_EQ(problems.text("; "), "; pair 3: label 2, and 2 more like it; pair 4: weight -1");
}

}  // namespace
}  // namespace collimate
