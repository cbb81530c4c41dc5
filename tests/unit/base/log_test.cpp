#include "collimate/base/log.hpp"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate {
namespace {

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

TEST(ErrorTest, kind_decides_the_exit_code) {
  EXPECT_EQ(Error("x").exit_code(), ExitCode::kFailure);
  EXPECT_EQ(InputError("x").exit_code(), ExitCode::kBadInput);
  EXPECT_EQ(AgreedError("x", ExitCode::kInterrupted).exit_code(), ExitCode::kInterrupted);
  EXPECT_THROW(check(false, "claim"), InvariantError);
}

}  // namespace
}  // namespace collimate
