#pragma once
// What `train --resume` means: which checkpoint a run goes on from, and whether it may.

#include <functional>
#include <map>
#include <optional>
#include <string>

#include "collimate/base/log.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/job/output_folder.hpp"
#include "collimate/store/checkpoint_store.hpp"

namespace collimate {

/// The option as given: "auto", "never" or a checkpoint folder.
struct ResumeOption {
  std::string text = "auto";

  [[nodiscard]] bool is_path() const { return text != "auto" && text != "never"; }
};

/// *Collective.* The checkpoint that was named, if one was: opened, not read. Throws AgreedError where it cannot be.
std::optional<Checkpoint> open_named_checkpoint(const ResumeOption& option, Communicator& world);

/// *Collective.* Where none was named, the one of its own folder that a run is to go on from: opened, not read; nothing
/// for a fresh run.
///
/// auto: the newest of the store's; fresh only where there is none at all; Error when there are some and none can be
/// opened. never: fresh; InputError when the folder has checkpoints, which would be mixed up with the new run's.
std::optional<Checkpoint> find_own_checkpoint(const ResumeOption& option, const OutputFolder& output,
                                              const CheckpointStore& store, Communicator& world, const Log& log);

/// *Collective.* Where a checkpoint was found: calls `load` with it, which is collective and throws AgreedError where
/// it is damaged. With auto an older one is then loaded over it, after a warning; Error when none is left. Returns the
/// one that was loaded.
Checkpoint load_resumed_checkpoint(const ResumeOption& option, const CheckpointStore& store, Communicator& world,
                                   const Log& log, const std::function<void(const Checkpoint&)>& load);

/// *Local.* Throws InputError, naming every difference with both values, when the checkpoint was made from other
/// weights or data than this run's.
void require_same_fingerprints(const Checkpoint& checkpoint, const std::map<std::string, std::string>& fingerprints);

}  // namespace collimate
