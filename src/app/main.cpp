#include <cstdio>
#include <cstdlib>
#include <exception>

#include "collimate/base/log.hpp"
#include "command_line.hpp"

namespace {

int run(int argc, char** argv) {
  const collimate::Log log;
  try {
    return static_cast<int>(collimate::app::parse_command_line(argc, argv)());
  } catch (const collimate::Error& error) {
    log.error("{}", error.what());
    return static_cast<int>(error.exit_code());
  } catch (const std::exception& error) {
    log.error("{}", error.what());
    return static_cast<int>(collimate::ExitCode::kFailure);
  }
}

// Everything that a run owns is gone by now. What is left belongs to the libraries: libtorch's tables of operators
// alone take as long to take down as a third of the program's start. A sanitizer looks for leaks at an ordinary end.
[[noreturn]] void end_at_once(int code) {
  std::fflush(nullptr);
#ifdef __SANITIZE_ADDRESS__
  std::exit(code);
#else
  std::_Exit(code);
#endif
}

}  // namespace

int main(int argc, char** argv) { end_at_once(run(argc, argv)); }
