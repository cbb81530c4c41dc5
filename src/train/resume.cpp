#include "collimate/train/resume.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

std::optional<Checkpoint> find_for_auto(const CheckpointStore& store, Communicator& world, const Log& log) {
  FoundCheckpoint found = store.find_latest_valid(world);
  for (const std::string& reason : found.skipped) {
    if (world.rank() == 0) log.warn("checkpoint passed over: {}", reason);  // all ranks know the same
  }
  run_agreed(world, [&] {
    if (found.checkpoint || found.skipped.empty()) return;
    throw Error(
        fmt::format("none of the {} checkpoints verifies; none was deleted. Repair one, or train into another "
                    "output.directory",
                    found.skipped.size()));
  });
  return std::move(found.checkpoint);
}

void require_none(const OutputFolder& output, const CheckpointStore& store) {
  if (store.steps().empty()) return;
  throw InputError(
      fmt::format("--resume never: {} already has checkpoints up to step {}; choose another "
                  "output.directory, or resume",
                  output.checkpoints().string(), store.steps().back()));
}

}  // namespace

std::optional<Checkpoint> find_resumed_checkpoint(const ResumeOption& option, const OutputFolder& output,
                                                  const CheckpointStore& store, Communicator& world, const Log& log) {
  if (option.text == "auto") return find_for_auto(store, world, log);
  if (option.text == "never") {
    run_agreed(world, [&] {
      if (world.rank() == 0) require_none(output, store);
    });
    return std::nullopt;
  }
  return open_verified(option.text, world);
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
