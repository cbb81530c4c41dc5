#pragma once
// The errors of Collimate. What kind of error it is decides the process's exit code, and nothing else does.
// Throwing is the default everywhere; a function that may find nothing is named find_ and returns an optional.

#include <source_location>
#include <stdexcept>
#include <string>
#include <string_view>

namespace collimate {

/// What the process tells its launcher.
enum class ExitCode { kDone = 0, kFailure = 1, kBadInput = 2, kPreempted = 75, kInterrupted = 130 };

/// A failure while running (exit code 1), and the base of all errors.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  [[nodiscard]] virtual ExitCode exit_code() const noexcept { return ExitCode::kFailure; }
};

/// The user's input is wrong: configuration, data, model files (exit code 2). The message names file, place and value,
/// and says what would be right.
class InputError : public Error {
 public:
  using Error::Error;
  [[nodiscard]] ExitCode exit_code() const noexcept override { return ExitCode::kBadInput; }
};

/// Something that our own code guarantees does not hold: a defect of Collimate, not of its input (exit code 1).
class InvariantError : public Error {
 public:
  using Error::Error;
};

/// An error that all ranks of a job have agreed on (comm/agreement.hpp): every rank throws it, rank 0 alone prints it.
class AgreedError : public Error {
 public:
  AgreedError(const std::string& message, ExitCode code) : Error(message), code_(code) {}
  [[nodiscard]] ExitCode exit_code() const noexcept override { return code_; }

 private:
  ExitCode code_;
};

/// All ranks of a job have agreed to end it early, with everything durable: no failure. Every rank throws it, rank 0
/// alone tells of it.
class Stopped : public Error {
 public:
  Stopped(const std::string& message, ExitCode code) : Error(message), code_(code) {}
  [[nodiscard]] ExitCode exit_code() const noexcept override { return code_; }

 private:
  ExitCode code_;
};

/// Throws InvariantError with the caller's place if `holds` is false. *Local.*
void check(bool holds, std::string_view claim, std::source_location place = std::source_location::current());

}  // namespace collimate
