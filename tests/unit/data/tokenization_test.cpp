#include "collimate/data/tokenization.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const Tokenization kRecord{.tokenizer_fingerprint = "aa",
                           .chat_template_fingerprint = "bb",
                           .overlong = "drop",
                           .max_length = 512,
                           .vocab_size = 1000};

TEST(TokenizationTest, accepts_equal_records) {
  EXPECT_NO_THROW(require_same_tokenization(kRecord, "a.h5", kRecord, "b.h5"));
}

TEST(TokenizationTest, names_both_files_and_all_differing_values) {
  Tokenization other = kRecord;
  other.tokenizer_fingerprint = "cc";
  other.max_length = 256;
  EXPECT_THAT(
      [&] { require_same_tokenization(kRecord, "a.h5", other, "b.h5"); },
      throws<InputError>(AllOf(HasSubstr("a.h5"), HasSubstr("b.h5"), HasSubstr("tokenizer_fingerprint: aa against cc"),
                               HasSubstr("max_length: 512 against 256"), Not(HasSubstr("overlong")))));
}

TEST(TokenizationTest, compares_every_field) {
  std::vector<Tokenization> others(5, kRecord);
  others[0].tokenizer_fingerprint += "x";
  others[1].chat_template_fingerprint += "x";
  others[2].overlong += "x";
  others[3].max_length = 1;
  others[4].vocab_size = 1;
  for (const Tokenization& other : others) {
    EXPECT_THAT([&] { require_same_tokenization(kRecord, "a", other, "b"); },
                throws<InputError>(HasSubstr(" against ")));
  }
}

}  // namespace
}  // namespace collimate
