#pragma once
// What a fuzzer of one reader provides; the engine, or libFuzzer, does the rest. A finding is whatever a bad file must
// not cause: a crash, a sanitizer's report, seconds of work, an exception other than one of bad input, a large
// allocation.

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/engine/dice.hpp"

namespace collimate::fuzz {

/// Small inputs that the reader takes, made by the project's own writers: the same at each call.
std::vector<std::string> seeds();

/// Gives `input` to the reader, and looks at everything that it returns. May throw errors of exit code 2; everything
/// else that it throws is a finding.
void read(const std::string& input);

/// `input` with one change that fits its format, checksums made right again.
std::string mutate(std::string input, Dice& dice);

/// Ends the process with `what` as a finding.
[[noreturn]] void report_finding(std::string_view what);

/// A finding unless `holds`: for what must be true of anything that a reader accepts.
inline void expect(bool holds, std::string_view what) {
  if (!holds) report_finding(what);
}

}  // namespace collimate::fuzz
