// A job that fails as its arguments say: `failure_probe WHO WHEN CODE [FILE]`. The rank WHO (`all`: every rank; `none`:
// no rank) fails `now`, while the others wait in a barrier for ever; `late`, when the others are done; `visited`: as
// now, but once FILE is there, which says that enough strangers have come; or `unaided`: as now, but rank 0 only prints
// and does not end the job. failure_channel_test.py runs it.

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <unistd.h>

#include "collimate/base/log.hpp"
#include "collimate/comm/failure_channel.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"

namespace collimate {
namespace {

struct Plan {
  std::string who;
  std::string when;
  int code;
  std::string awaited;
};

void run(Communicator& world, const Plan& plan) {
  const bool fails = plan.who == "all" || plan.who == std::to_string(world.rank());
  while (plan.when == "visited" && !std::filesystem::exists(plan.awaited)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  if (fails && plan.when == "late") std::this_thread::sleep_for(std::chrono::seconds(1));
  if (fails && plan.code == static_cast<int>(ExitCode::kBadInput)) throw InputError("train.h5: pair 3 is broken");
  if (fails) throw Error("loss of step 7 is not finite");
  if (plan.when != "late" && plan.who != "none") world.barrier();
}

int run_job(const Plan& plan) {
  MpiEnvironment environment;
  const auto world = environment.make_world_group();
  const Log log(environment.world_rank());
  JobStore store(*world);
  FailureChannel failures(store, *world, [&](const std::string& message, ExitCode code) {
    log.error("{}", message);
    if (plan.when != "unaided") MpiEnvironment::abort_job(code);
  });
  try {
    run(*world, plan);
  } catch (const Error& error) {
    failures.report_and_wait(error.what(), error.exit_code());
  }
  return 0;
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  if (argc != 4 && argc != 5) return 64;
  return collimate::run_job(
      {.who = argv[1], .when = argv[2], .code = std::atoi(argv[3]), .awaited = argc == 5 ? argv[4] : ""});
}
