#include "collimate/base/printable.hpp"

#include <string>

#include <gtest/gtest.h>

namespace collimate {
namespace {

TEST(PrintableTest, letters_of_every_script_and_the_lines_of_a_message_stay) {
  const std::string text = "a\\b\tÄrger\n  日本語 ‰ 𝄞 \u200d é";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(printable(""), "");
}

TEST(PrintableTest, what_a_terminal_obeys_is_written_out) {
  EXPECT_EQ(printable("a\x1b[2Jb\rc\a\x7f"), "a\\x1b[2Jb\\x0dc\\x07\\x7f");
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\u009b31m"), "\\u009b31m");
  EXPECT_EQ(printable("gnp.\u202etxt\u2066\u200f\u061c\u2028"), "gnp.\\u202etxt\\u2066\\u200f\\u061c\\u2028");
  EXPECT_EQ(printable("\ufeffa\U000e0041"), "\\ufeffa\\U000e0041");
}

TEST(PrintableTest, bytes_that_are_no_utf8_are_written_out_one_by_one) {
  EXPECT_EQ(printable("a\xff\x62"), "a\\xffb");
  EXPECT_EQ(printable("\xc3"), "\\xc3");                             // cut
  EXPECT_EQ(printable("\xe2\x82("), "\\xe2\\x82(");                  // cut within a text
  EXPECT_EQ(printable("\xc0\x9b"), "\\xc0\\x9b");                    // ESC in an overlong form
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // beyond U+10FFFF
  EXPECT_EQ(printable("\x9b"
                      "31m"),
            "\\x9b"
            "31m");  // a control character of eight-bit terminals
}

TEST(PrintableTest, what_is_printable_is_not_changed_again) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  const std::string shown = printable(every_byte);
  EXPECT_EQ(printable(shown), shown);
}

TEST(PrintableTest, a_line_stays_one_line) {
  EXPECT_EQ(printable_line("a\nb\tc\x1b\\n \u2028ä"), "a\\nb\\tc\\x1b\\n \\u2028ä");
}

TEST(Utf8BytesTest, is_the_length_of_the_first_character) {
  EXPECT_EQ(utf8_bytes("ab"), 1U);
  EXPECT_EQ(utf8_bytes("\u00e4b"), 2U);
  EXPECT_EQ(utf8_bytes("\u20ac"), 3U);
  EXPECT_EQ(utf8_bytes("\U0001d11e"), 4U);
  EXPECT_EQ(utf8_bytes("\x80"), 0U);
  EXPECT_EQ(utf8_bytes(""), 0U);
}

}  // namespace
}  // namespace collimate
