#pragma once
// The checkpoints of one run: step_00000200/ and so on, the pointers `latest` and `best`, and how many are kept. A
// folder appears by rename when it is complete and durable, so that a kill at any moment leaves the last committed one.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/store/checkpoint.hpp"

namespace collimate {

/// The newest checkpoint that verifies, and why newer ones were passed over.
struct FoundCheckpoint {
  std::optional<Checkpoint> checkpoint;
  std::vector<std::string> skipped;  ///< One message each, newest first.
};

/// The folder `checkpoints` of a run, which all ranks see. *Local* where nothing else is said: one rank owns it.
class CheckpointStore {
 public:
  /// `folder` need not exist before the first save. Keeps the `save_total_limit` (>= 1) newest, and those of steps that
  /// `keep_every` divides, if it is not 0.
  CheckpointStore(std::string folder, int save_total_limit, int keep_every = 0);

  /// *Collective.* Saves all ranks' pieces as step_<state.step>, replacing one of the same step, makes it `latest`, and
  /// deletes what is over the limit: never `latest`, `best`, the newest valid one or those of keep_every. `state` is
  /// rank 0's. Returns the folder. Throws AgreedError when anything cannot be written; then all earlier checkpoints and
  /// pointers are as before.
  std::string save(const CheckpointState& state, std::span<const SavedPiece> own, Communicator& world) const;
  /// Makes `best` point to a saved step; the one before is over the limit now, perhaps. Throws Error when there is
  /// none.
  void mark_best(std::int64_t step) const;

  /// Committed steps, ascending, valid or not.
  [[nodiscard]] std::vector<std::int64_t> steps() const;
  [[nodiscard]] std::string path_of(std::int64_t step) const;
  /// Where a pointer ("latest" or "best") leads, if to an existing folder.
  [[nodiscard]] std::optional<std::string> find_pointer(const std::string& name) const;
  /// *Collective.* Opens from the newest on until one verifies; each rank reads its share.
  [[nodiscard]] FoundCheckpoint find_latest_valid(Communicator& world) const;

 private:
  void delete_over_limit() const;

  std::string folder_;
  int save_total_limit_;
  int keep_every_;
};

}  // namespace collimate
