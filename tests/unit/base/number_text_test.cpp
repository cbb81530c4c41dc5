#include "collimate/base/number_text.hpp"

#include <cstdint>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(NumberTextTest, is_all_of_the_text) {
  EXPECT_EQ(try_number<int>("-17"), -17);
  EXPECT_EQ(try_number<std::uint64_t>("18446744073709551615"), UINT64_MAX);
  for (const char* text : {"", " 1", "1 ", "1x", "+1", "0x1", "x", "1.0", "2147483648"}) {
    EXPECT_EQ(try_number<int>(text), std::nullopt) << text;
  }
  EXPECT_EQ(try_number<std::uint16_t>("-1"), std::nullopt);
}

}  // namespace
}  // namespace collimate
