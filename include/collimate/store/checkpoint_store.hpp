#pragma once
// The checkpoints of one run: step_00000200/ and so on, the pointers `latest` and `best`, and how many are kept. A
// folder appears by rename when it is complete and durable, so that a kill at any moment leaves the last committed one.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "collimate/io/atomic_folder.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate {

/// The newest checkpoint that can be loaded, and why newer ones were passed over.
struct FoundCheckpoint {
  std::optional<Checkpoint> checkpoint;
  std::vector<std::string> skipped;  ///< One message each, newest first.
};

/// Whether a checkpoint becomes `best` as well as `latest`.
enum class BestMark { kKeep, kMove };

/// The folder `checkpoints` of a run, which all ranks see. *Local* where nothing else is said: one rank owns it.
class CheckpointStore {
 public:
  /// `folder` need not exist before the first save. Keeps the `save_total_limit` (>= 1) newest, and those of steps that
  /// `keep_every` divides, if it is not 0.
  CheckpointStore(std::string folder, int save_total_limit, int keep_every = 0);

  /// Where a checkpoint of this step is written before it is committed. Throws Error.
  [[nodiscard]] AtomicFolder stage(std::int64_t step) const;
  /// Gives a staged checkpoint its place, also where there is one of the same step, makes it `latest` (and `best`), and
  /// deletes what is over the limit: never `latest`, `best`, the newest valid one or those of keep_every, nor what has
  /// no manifest; that, where it has the new one's name, becomes step_<step>.aside-1. Throws Error.
  void commit(AtomicFolder& staged, std::int64_t step, BestMark best) const;
  /// Makes `best` point to a saved step; the one before is over the limit now, perhaps. Throws Error when there is
  /// none.
  void mark_best(std::int64_t step) const;

  /// Removes what killed writers have staged: only where nobody else writes now. What cannot be removed stays.
  void remove_staged() const;

  /// Committed steps, ascending, valid or not.
  [[nodiscard]] std::vector<std::int64_t> steps() const;
  [[nodiscard]] std::string path_of(std::int64_t step) const;
  /// Where a pointer ("latest" or "best") leads, if to an existing folder.
  [[nodiscard]] std::optional<std::string> find_pointer(const std::string& name) const;
  /// *Collective.* Opens from the newest on and calls `load`, which is collective too, until both succeed. What is
  /// wrong with a checkpoint (AgreedError of exit code 2) has it passed over, other failures are thrown on.
  [[nodiscard]] FoundCheckpoint load_newest(Communicator& world,
                                            const std::function<void(const Checkpoint&)>& load) const;

 private:
  void delete_over_limit() const;

  std::string folder_;
  int save_total_limit_;
  int keep_every_;
};

}  // namespace collimate
