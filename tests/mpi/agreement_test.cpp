#include "collimate/comm/agreement.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/mpi_world.hpp"

namespace collimate {
namespace {

TEST(AgreementTest, gives_the_value_when_every_rank_succeeds) {
  const auto group = make_world_group();
  EXPECT_EQ(make_agreed(*group, [&] { return group->rank() + 1; }), group->rank() + 1);
}

TEST(AgreementTest, every_rank_throws_what_the_lowest_failing_rank_said) {
  const auto group = make_world_group();
  const int failing = group->size() - 1;
  try {
    run_agreed(*group, [&] {
      if (group->rank() == failing) throw InputError("train.h5: pair 3: label 7.0 is not in [0, 1]");
    });
    FAIL() << "rank " << group->rank() << " went on";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kBadInput);
    EXPECT_THAT(error.what(), testing::HasSubstr("pair 3: label 7.0"));
  }
}

TEST(AgreementTest, a_failure_while_running_names_its_rank) {
  const auto group = make_world_group();
  try {
    run_agreed(*group, [&] { throw Error("disk full"); });
    FAIL() << "rank " << group->rank() << " went on";
  } catch (const AgreedError& error) {
    EXPECT_EQ(error.exit_code(), ExitCode::kFailure);
    EXPECT_STREQ(error.what(), group->size() == 1 ? "disk full" : "rank 0: disk full");
  }
}

}  // namespace
}  // namespace collimate
