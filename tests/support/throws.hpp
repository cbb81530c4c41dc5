#pragma once
// Matches a call that throws exactly the expected kind of error with a message.

#include <typeinfo>

#include <gmock/gmock.h>

namespace collimate {

/// `EXPECT_THAT([&] { call(); }, throws<InputError>(HasSubstr("file")))`: the type must be Expected itself, since the
/// type decides the exit code.
template <class Expected, class Matcher>
auto throws(const Matcher& message) {
  return ::testing::Throws<Expected>(::testing::AllOf(
      ::testing::ResultOf(
          "is exactly of the type", [](const Expected& e) { return typeid(e) == typeid(Expected); },
          ::testing::IsTrue()),
      ::testing::ResultOf("message", [](const Expected& e) { return std::string(e.what()); }, message)));
}

}  // namespace collimate
