#include "collimate/store/checkpoint_saver.hpp"

#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/io/atomic_folder.hpp"
#include "piece_writer.hpp"

namespace collimate {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Adds the time until it goes out of scope.
class Stopwatch {
 public:
  explicit Stopwatch(double& seconds) : seconds_(seconds) {}
  ~Stopwatch() { seconds_ += seconds_since(begin_); }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  Clock::time_point begin_ = Clock::now();
};

}  // namespace

// The queue's thread writes `share`, `staged` and `report.write_seconds`; they are read, and `failure` is set, when its
// work is done.
struct CheckpointSaver::Save {
  CheckpointState state;
  BestMark best = BestMark::kKeep;
  std::optional<AtomicFolder> staged;  // on rank 0
  std::optional<detail::PieceWriter> pieces;
  detail::ManifestShare share;
  WorkHandle work;  // null: none on this rank
  std::string failure;
  SaveReport report;
  Clock::time_point begin = Clock::now();

  template <class Ask>
  void note_failure(const Ask& ask) {
    try {
      if (work && failure.empty()) ask(*work);
    } catch (const std::exception& error) {
      failure = fmt::format("checkpoint of step {}: {}", state.step, error.what());
    }
  }
};

CheckpointSaver::CheckpointSaver(CheckpointStore store, SaveOptions options, Communicator& world)
    : store_(std::move(store)), options_(std::move(options)), world_(world) {}

CheckpointSaver::~CheckpointSaver() = default;

void CheckpointSaver::start(const CheckpointState& state, std::span<const SavedPiece> own, BestMark best) {
  finish();
  note_work(world_.activity(), "starting the checkpoint of step {}", state.step);
  auto save = std::make_unique<Save>();
  {
    const Stopwatch stall(save->report.stall_seconds);
    save->state = state;
    save->report.step = state.step;
    save->best = best;
    const std::string path = stage(*save, own);
    save->work = queue_.start(
        [&save = *save, path, activity = world_.activity()](const std::stop_token& stop) {  // ends before it is gone
          save.share = save.pieces->write(path, stop, activity);
        });
  }
  save_ = std::move(save);
  phase_ = Phase::kWriting;
  if (!options_.asynchronous) finish();
}

std::string CheckpointSaver::stage(Save& save, std::span<const SavedPiece> own) {
  std::string path = make_agreed(world_, [&] {
    save.pieces.emplace(world_.rank(), own);
    if (world_.rank() == 0) save.staged.emplace(store_.stage(save.state.step));
    return save.staged ? save.staged->staging_path() : std::string();
  });
  world_.broadcast_bytes(path, 0);
  return path;
}

void CheckpointSaver::release_values() {
  if (phase_ == Phase::kIdle) return;
  const Stopwatch stall(save_->report.stall_seconds);
  const detail::ReleaseCost cost = save_->pieces->release(options_.buffer_bytes);
  save_->report.copied_bytes += cost.copied_bytes;
  save_->report.awaited_bytes += cost.awaited_bytes;
}

SaveProgress CheckpointSaver::progress() {
  if (phase_ == Phase::kIdle) return {};
  SaveProgress progress;
  save_->note_failure([&](Work& work) { progress.is_busy = !work.is_done(); });
  progress.failure = save_->failure;
  return progress;
}

void CheckpointSaver::advance() {
  if (phase_ == Phase::kIdle) return;
  {
    const Stopwatch stall(save_->report.stall_seconds);
    run_agreed(world_, [&] {
      save_->note_failure([](Work& work) { work.wait(); });
      if (!save_->failure.empty()) throw Error(save_->failure);
    });
    if (phase_ == Phase::kWriting) return start_commit();
  }
  end();
}

void CheckpointSaver::start_commit() {
  const std::vector<std::string> shares = world_.all_gather_bytes(detail::render_share(save_->share));
  save_->work.reset();
  phase_ = Phase::kCommitting;
  agree_on_report();
  if (world_.rank() != 0) return;
  save_->work = queue_.start([this, save = save_.get(), shares](const std::stop_token&) {
    detail::write_manifest(save->staged->staging_path(), save->state, shares);
    store_.commit(*save->staged, save->state.step, save->best);
  });
}

// By now all pieces are written, so that no update waits any more.
void CheckpointSaver::agree_on_report() {
  SaveReport& report = save_->report;
  std::array most{report.stall_seconds, report.write_seconds, static_cast<double>(report.copied_bytes),
                  static_cast<double>(report.awaited_bytes)};
  at::Tensor view = at::from_blob(most.data(), {static_cast<std::int64_t>(most.size())}, at::kDouble);
  world_.all_reduce(view, ReduceOp::kMax);
  report.stall_seconds = most[0];
  report.write_seconds = most[1];
  report.copied_bytes = static_cast<std::uint64_t>(most[2]);
  report.awaited_bytes = static_cast<std::uint64_t>(most[3]);
}

void CheckpointSaver::end() {
  phase_ = Phase::kIdle;
  const std::unique_ptr<Save> done = std::move(save_);
  done->report.seconds = seconds_since(done->begin);
  if (options_.on_commit) options_.on_commit(done->report);
}

void CheckpointSaver::finish() {
  try {
    if (phase_ != Phase::kIdle) note_work(world_.activity(), "writing the checkpoint of step {}", save_->state.step);
    while (phase_ != Phase::kIdle) advance();
  } catch (const AgreedError&) {
    phase_ = Phase::kIdle;
    save_.reset();
    throw;
  }
}

std::string save_checkpoint(const CheckpointStore& store, const CheckpointState& state, std::span<const SavedPiece> own,
                            Communicator& world) {
  CheckpointSaver(store, {.asynchronous = false}, world).start(state, own);
  return store.path_of(state.step);
}

}  // namespace collimate
