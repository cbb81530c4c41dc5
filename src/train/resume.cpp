#include "collimate/train/resume.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

std::string path_for_auto(const CheckpointStore& store, const Log& log) {
  const FoundCheckpoint found = store.find_latest_valid();
  for (const std::string& reason : found.skipped) log.warn("checkpoint passed over: {}", reason);
  if (found.checkpoint) return found.checkpoint->path();
  if (!found.skipped.empty()) {
    throw Error(
        fmt::format("none of the {} checkpoints verifies; none was deleted. Repair one, or train into another "
                    "output.directory",
                    found.skipped.size()));
  }
  return {};
}

std::string path_of_resumed(const ResumeOption& option, const OutputFolder& output, const CheckpointStore& store,
                            const Log& log) {
  if (option.text == "auto") return path_for_auto(store, log);
  if (option.text != "never") return option.text;
  if (!store.steps().empty()) {
    throw InputError(
        fmt::format("--resume never: {} already has checkpoints up to step {}; choose another "
                    "output.directory, or resume",
                    output.checkpoints().string(), store.steps().back()));
  }
  return {};
}

}  // namespace

std::optional<Checkpoint> find_resumed_checkpoint(const ResumeOption& option, const OutputFolder& output,
                                                  const CheckpointStore& store, Communicator& world, const Log& log) {
  // One rank decides, so that a folder that changes meanwhile cannot split the job.
  std::string path = make_agreed(
      world, [&] { return world.rank() == 0 ? path_of_resumed(option, output, store, log) : std::string(); });
  world.broadcast_bytes(path, 0);
  if (path.empty()) return std::nullopt;
  return make_agreed(world, [&] { return Checkpoint::open(path); });
}

void require_same_fingerprints(const Checkpoint& checkpoint, const std::map<std::string, std::string>& fingerprints) {
  std::string differences;
  for (const auto& [name, now] : fingerprints) {
    const auto& saved = checkpoint.state().fingerprints;
    const auto found = saved.find(name);
    const std::string before = found == saved.end() ? "(none)" : found->second;
    if (before != now) differences += fmt::format("\n  {}: saved with {}, now {}", name, before, now);
  }
  if (differences.empty()) return;
  throw InputError(
      fmt::format("{}: this checkpoint belongs to a run on other inputs; give the run its inputs back, or "
                  "another output.directory:{}",
                  checkpoint.path(), differences));
}

}  // namespace collimate
