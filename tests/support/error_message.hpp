#pragma once
// What a call says when it refuses its input, for tests of messages.

#include <string>

#include <gtest/gtest.h>

#include "collimate/base/error.hpp"

namespace collimate::testing {

/// The message of the InputError that `call` throws; a test failure when it throws none.
template <class Call>
std::string input_error_of(Call&& call) {
  try {
    call();
  } catch (const InputError& error) {
    return error.what();
  }
  ADD_FAILURE() << "no InputError was thrown";
  return {};
}

}  // namespace collimate::testing
