#pragma once
// output.directory: whether a run may have it, and where things are in it. Looking (inspect) never writes; claiming
// leaves the canonical configuration, by which the folder is known as this run's from then on.

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/io/file_lock.hpp"
#include "collimate/job/run_config.hpp"

namespace collimate {

/// A configuration that an earlier part of a run has left, and where.
struct EarlierConfig {
  std::string place;
  std::string text;
};

/// What a run goes on from.
struct Continuation {
  std::span<const std::string> allowed = {};       ///< fields of identity that may differ: "objective.beta"
  std::optional<EarlierConfig> resumed_from = {};  ///< of a checkpoint that was named
};

/// The folder of one run. *Local*: used by one rank, the others only ask it for paths.
class OutputFolder {
 public:
  /// Finds out, without writing anything, whether the run may use output.directory. Throws InputError when it is no
  /// folder or cannot be written, has content but is no run, or where folder or checkpoint are of a run with another
  /// identity (every differing field is named with both values), unless that is allowed; also where a field is allowed
  /// that does not differ.
  static OutputFolder inspect(const RunConfig& config, const Continuation& continuation = {});

  /// Creates the folder if need be, and keeps other runs out of it until this object is gone; a folder that nothing was
  /// put into goes then. *Local.* Throws InputError when it cannot be written, or when another run is in it, which it
  /// names.
  void lock(const Log& log);
  /// Locks it, if that was not done, and puts the canonical config.yaml (absolute paths) into it, whole or not at all.
  /// *Local.* Throws as lock().
  void claim(const Log& log);

  /// Whether the folder is of this run already.
  [[nodiscard]] bool is_continued() const noexcept { return is_continued_; }
  /// What changed in the schedule since the folder was claimed last, and of the identity what was allowed to, for the
  /// caller to log: first is the older value.
  [[nodiscard]] const std::vector<FieldDifference>& changes() const noexcept { return changes_; }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  [[nodiscard]] std::filesystem::path config_file() const { return path_ / "config.yaml"; }
  [[nodiscard]] std::filesystem::path metrics_file() const { return path_ / "metrics.jsonl"; }
  [[nodiscard]] std::filesystem::path run_file() const { return path_ / "run.json"; }
  /// What a job that hung has left: the stacks of its ranks.
  [[nodiscard]] static std::filesystem::path failures(const RunConfig& config) {
    return std::filesystem::path(config.output.directory) / "failures";
  }
  [[nodiscard]] std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }

 private:
  explicit OutputFolder(RunConfig config) : config_(std::move(config)), path_(config_.output.directory) {}

  RunConfig config_;  ///< with absolute paths
  std::filesystem::path path_;
  bool is_continued_ = false;
  std::vector<FieldDifference> changes_;
  std::unique_ptr<FileLock> lock_;  ///< since it is claimed
};

}  // namespace collimate
