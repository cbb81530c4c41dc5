#pragma once
// The two ways in which a process ends without taking its libraries down.

#include <cstdio>
#include <cstdlib>

namespace collimate {

/// *Local.* Ends the process as it is, its other threads being anywhere. Buffered output is written.
[[noreturn]] inline void end_process(int code) {
  std::fflush(nullptr);
  std::_Exit(code);
}

/// *Local.* For the end of `main`, when everything that the program owns is gone. What is left belongs to the
/// libraries: libtorch's tables of operators alone take as long to take down as a third of the program's start. A
/// sanitizer looks for leaks at an ordinary end, and gets one.
[[noreturn]] inline void end_finished_process(int code) {
#ifdef __SANITIZE_ADDRESS__
  std::exit(code);
#else
  end_process(code);
#endif
}

}  // namespace collimate
