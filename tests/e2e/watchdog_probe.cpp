// watchdog_probe CONFIG WHAT: the program's own session around ranks of which none gets on. `crossed`: the last rank
// waits in another collective than the others; `working`: it works at something that has no end, while the others wait
// for it; `leaving`: the same, while the others have come to the job's end; `nothing`: all is well.

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "../../src/app/session.hpp"
#include "collimate/base/activity_log.hpp"

namespace collimate {
namespace {

[[gnu::noinline]] void work_for_ever(const std::atomic<bool>& is_done) {
  while (!is_done) std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

void hang(ProcessMesh& mesh, const std::string& what) {
  Communicator& world = mesh.world();
  const bool is_last = world.rank() + 1 == world.size();
  const std::atomic<bool> is_done = false;
  if (what == "crossed") (is_last ? mesh.data() : world).barrier();
  if (what == "working" || what == "leaving") {
    note_work(world.activity(), "counting to infinity");
    if (is_last) work_for_ever(is_done);
    if (what == "working") world.barrier();
  }
}

ExitCode run(const std::string& config, const std::string& what) {
  return app::run_session({.file = config, .overrides = {}}, [&](const app::Session& session) {
    hang(session.mesh, what);
    return ExitCode::kDone;
  });
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  return static_cast<int>(collimate::run(argv[1], argv[2]));
}
