#include "collimate/train/resume.hpp"

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

constexpr const char* kResumeAuto = "auto";

// Warns of what was passed over.
Checkpoint accept(FoundCheckpoint found, Communicator& world, const Log& log) {
  for (const std::string& reason : found.skipped) {
    if (world.rank() == 0) log.warn("checkpoint passed over: {}", reason);
  }
  run_agreed(world, [&] {
    if (found.checkpoint) return;
    throw Error(
        fmt::format("none of the {} checkpoints verifies; none was deleted. Repair one, or train into another "
                    "output.directory",
                    found.skipped.size()));
  });
  return std::move(*found.checkpoint);
}

// Whatever is passed over here is so again when it is to be loaded: told once, then or where there is no other.
std::optional<Checkpoint> find_newest(const CheckpointStore& store, Communicator& world, const Log& log) {
  FoundCheckpoint found = store.load_newest(world, [](const Checkpoint& /*opened*/) {});
  if (found.checkpoint || found.skipped.empty()) return std::move(found.checkpoint);
  return accept(std::move(found), world, log);
}

Checkpoint open_agreed(const std::string& path, Communicator& world) {
  return make_agreed(world, [&] { return Checkpoint::open(path); });
}

void require_none(const OutputFolder& output, const CheckpointStore& store) {
  if (store.steps().empty()) return;
  throw InputError(
      fmt::format("--resume never: {} already has checkpoints up to step {}; choose another "
                  "output.directory, or resume",
                  output.checkpoints().string(), store.steps().back()));
}

}  // namespace

std::optional<Checkpoint> open_named_checkpoint(const ResumeOption& option, Communicator& world) {
  if (!option.is_path()) return std::nullopt;
  return open_agreed(option.text, world);
}

std::optional<Checkpoint> find_own_checkpoint(const ResumeOption& option, const OutputFolder& output,
                                              const CheckpointStore& store, Communicator& world, const Log& log) {
  if (option.text == kResumeAuto) return find_newest(store, world, log);
  run_agreed(world, [&] {
    if (world.rank() == 0) require_none(output, store);
  });
  return std::nullopt;
}

Checkpoint load_resumed_checkpoint(const ResumeOption& option, const CheckpointStore& store, Communicator& world,
                                   const Log& log, const std::function<void(const Checkpoint&)>& load) {
  if (!option.is_path()) return accept(store.load_newest(world, load), world, log);
  Checkpoint given = open_agreed(option.text, world);
  load(given);
  return given;
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
