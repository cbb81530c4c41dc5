#include "collimate/config/near_miss.hpp"

#include <array>

#include <gtest/gtest.h>

namespace collimate {
namespace {

constexpr std::array<std::string_view, 4> kWords = {"beta", "betas", "learning_rate", "seed"};

TEST(NearMissTest, finds_a_letter_too_few_too_many_wrong_or_swapped) {
  EXPECT_EQ(find_near_miss("bet", kWords), "beta");
  EXPECT_EQ(find_near_miss("betass", kWords), "betas");
  EXPECT_EQ(find_near_miss("sead", kWords), "seed");
  EXPECT_EQ(find_near_miss("lerannig_rate", kWords), "learning_rate");
  EXPECT_EQ(find_near_miss("ebta", kWords), "beta");
}

TEST(NearMissTest, passes_over_case) { EXPECT_EQ(find_near_miss("BETA", kWords), "beta"); }

TEST(NearMissTest, finds_nothing_where_nothing_is_near) {
  EXPECT_FALSE(find_near_miss("depth", kWords));
  EXPECT_FALSE(find_near_miss("", kWords));
  EXPECT_FALSE(find_near_miss("beta", {}));
}

}  // namespace
}  // namespace collimate
