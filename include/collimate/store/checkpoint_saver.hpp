#pragma once
// Saves checkpoints while training goes on: pieces stream to disk from where they are until an update is about to
// change them. Writers use neither MPI nor HDF5; the step's own reduction tells when all of them are done.

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "collimate/comm/communicator.hpp"
#include "collimate/comm/operation_queue.hpp"
#include "collimate/store/checkpoint_store.hpp"

namespace collimate {

/// What a committed checkpoint took on the rank where it took most.
struct SaveReport {
  std::int64_t step = 0;
  double seconds = 0;               ///< from start() until the commit was known
  double write_seconds = 0;         ///< that writing the pieces took, as far as training did not hold it up
  double stall_seconds = 0;         ///< that training has waited for it
  std::uint64_t copied_bytes = 0;   ///< of values that were about to change and not yet written
  std::uint64_t awaited_bytes = 0;  ///< of those that the buffer did not hold
};

struct SaveOptions {
  bool asynchronous = true;                               ///< false: start() returns when the checkpoint is committed
  std::uint64_t buffer_bytes = 0;                         ///< most that release_values() copies
  std::function<void(const SaveReport&)> on_commit = {};  ///< called on every rank
};

/// What one rank knows of its own part.
struct SaveProgress {
  bool is_busy = false;
  std::string failure;  ///< empty: none
};

/// Saves one checkpoint at a time. Between start() and the commit each step asks progress(), reduces it over the ranks
/// and calls advance() when none is busy; before each update it calls release_values().
class CheckpointSaver {
 public:
  /// `world` must outlive the saver.
  CheckpointSaver(CheckpointStore store, SaveOptions options, Communicator& world);
  /// Gives up what is not committed.
  ~CheckpointSaver();
  CheckpointSaver(const CheckpointSaver&) = delete;
  CheckpointSaver& operator=(const CheckpointSaver&) = delete;

  /// *Collective.* Begins to save all ranks' pieces as step_<state.step>, once the checkpoint before is committed. The
  /// values must not change before release_values(). `state` is rank 0's. Throws AgreedError.
  void start(const CheckpointState& state, std::span<const SavedPiece> own, BestMark best = BestMark::kKeep);
  /// *Local.* Returns when the values may change: copies what is not yet written, and waits for what the buffer does
  /// not hold.
  void release_values();
  /// *Local.* Never waits.
  [[nodiscard]] SaveProgress progress();
  /// *Collective.* When progress() has said on every rank that it is not busy: goes on towards the commit, which is
  /// made behind. Throws AgreedError when a rank has failed.
  void advance();
  /// *Collective.* Waits until nothing is under way. Throws AgreedError when a rank has failed; all earlier checkpoints
  /// and pointers then are as before.
  void finish();

 private:
  enum class Phase { kIdle, kWriting, kCommitting };
  struct Save;

  std::string stage(Save& save, std::span<const SavedPiece> own);
  void start_commit();
  void agree_on_report();
  void end();

  CheckpointStore store_;
  SaveOptions options_;
  Communicator& world_;
  Phase phase_ = Phase::kIdle;
  std::unique_ptr<Save> save_;  // the one under way
  OperationQueue queue_;        // last: its thread ends before what it uses
};

/// *Collective.* Saves and waits for the commit; returns the folder. Throws AgreedError.
std::string save_checkpoint(const CheckpointStore& store, const CheckpointState& state, std::span<const SavedPiece> own,
                            Communicator& world);

}  // namespace collimate
