// The conformance suite over the `gloo` backend for ranks that are threads.

#include "mpi/conformance/conformance.hpp"

#include <gtest/gtest.h>

#include "support/thread_world.hpp"

namespace collimate {
namespace {

class ThreadConformanceTest : public testing::TestWithParam<std::tuple<int, conformance::Case>> {};

TEST_P(ThreadConformanceTest, holds) {
  const auto& [num_ranks, conformance_case] = GetParam();
  run_as_threads(num_ranks, conformance_case.run);
}

INSTANTIATE_TEST_SUITE_P(Ranks, ThreadConformanceTest,
                         testing::Combine(testing::Values(1, 2, 3), testing::ValuesIn(conformance::all_cases())),
                         [](const auto& test) {
                           return fmt::format("np{}_{}", std::get<0>(test.param), std::get<1>(test.param).name);
                         });

}  // namespace
}  // namespace collimate
