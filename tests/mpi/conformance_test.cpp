// The conformance suite over every backend for ranks that are processes.

#include "conformance/conformance.hpp"

#include <gtest/gtest.h>

#include "support/backend_factory.hpp"

namespace collimate {
namespace {

class ConformanceTest : public testing::TestWithParam<std::tuple<BackendType, conformance::Case>> {};

TEST_P(ConformanceTest, holds) {
  const auto& [backend, conformance_case] = GetParam();
  conformance_case.run(*make_backend_factory(backend));
}

INSTANTIATE_TEST_SUITE_P(Backends, ConformanceTest,
                         testing::Combine(testing::ValuesIn(kProcessBackends),
                                          testing::ValuesIn(conformance::all_cases())),
                         [](const auto& test) {
                           return fmt::format("{}_{}", enum_name(std::get<0>(test.param)),
                                              std::get<1>(test.param).name);
                         });

}  // namespace
}  // namespace collimate
