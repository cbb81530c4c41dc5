#include "collimate/base/log.hpp"

#include <array>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::HasSubstr;

std::string written(int world_rank, const char* few = "few") {
  std::array<char, 256> buffer{};
  std::FILE* stream = fmemopen(buffer.data(), buffer.size(), "w");
  const Log log(world_rank, stream);
  log.info("{} pairs", 3);
  log.warn("{}", few);
  std::fclose(stream);
  return buffer.data();
}

TEST(LogTest, tags_ranks_and_lets_rank_zero_alone_inform) {
  EXPECT_EQ(written(0), "collimate: 3 pairs\ncollimate: warning: few\n");
  EXPECT_EQ(written(2), "collimate: [rank 2] warning: few\n");
}

TEST(LogTest, what_it_quotes_cannot_reach_the_terminal_raw) {
  EXPECT_EQ(written(0, "few\n  \x1b[2J\xff"), "collimate: 3 pairs\ncollimate: warning: few\n  \\x1b[2J\\xff\n");
}

TEST(LogTest, what_it_quotes_cannot_look_like_another_message) {
  EXPECT_EQ(written(0, "a\ncollimate: error: b\n  c\n\nd\n"),
            "collimate: 3 pairs\ncollimate: warning: a\n  collimate: error: b\n  c\n\n  d\n\n");
}

TEST(LogTest, an_answer_that_cannot_be_written_is_an_error) {
  std::FILE* full = std::fopen("/dev/full", "w");
  EXPECT_THAT([&] { write_answer("42\n", full); },
              throws<Error>(std::string("standard output cannot be written: No space left on device")));
  EXPECT_THAT([&] { write_answer(std::string(1 << 20, 'x'), full); }, throws<Error>(HasSubstr("No space left")));
  Log(0, full).error("of which nobody hears");
  std::fclose(full);
}

TEST(ErrorTest, kind_decides_the_exit_code) {
  EXPECT_EQ(Error("x").exit_code(), ExitCode::kFailure);
  EXPECT_EQ(InputError("x").exit_code(), ExitCode::kBadInput);
  EXPECT_EQ(AgreedError("x", ExitCode::kInterrupted).exit_code(), ExitCode::kInterrupted);
  EXPECT_THROW(check(false, "claim"), InvariantError);
}

}  // namespace
}  // namespace collimate
