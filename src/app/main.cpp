#include <exception>

#include "collimate/base/end_process.hpp"
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

}  // namespace

int main(int argc, char** argv) { collimate::end_finished_process(run(argc, argv)); }
