#pragma once
// What `train --resume` means: which checkpoint a run goes on from, and whether it may.

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
};

/// *Collective.* The checkpoint to go on from, opened and verified on every rank; nothing for a fresh run.
///
/// auto: the newest of `output`'s that verifies (a warning for each one passed over); fresh only where there is none at
/// all; Error when there are some and none verifies. never: fresh; InputError when the folder has checkpoints, which
/// would be mixed up with the new run's. A path: that one, InputError when it does not verify.
std::optional<Checkpoint> find_resumed_checkpoint(const ResumeOption& option, const OutputFolder& output,
                                                  const CheckpointStore& store, Communicator& world, const Log& log);

/// *Local.* Throws InputError, naming every difference with both values, when the checkpoint was made from other
/// weights or data than this run's.
void require_same_fingerprints(const Checkpoint& checkpoint, const std::map<std::string, std::string>& fingerprints);

}  // namespace collimate
