#include "collimate/store/checkpoint_store.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <ranges>
#include <set>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/io/atomic_file.hpp"
#include "manifest.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "step_";

std::string folder_name(std::int64_t step) { return fmt::format("{}{:08}", kPrefix, step); }

std::optional<std::int64_t> find_step(const std::string& name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  std::int64_t step = -1;
  const char* const end = name.data() + name.size();
  const auto [stop, failure] = std::from_chars(name.data() + kPrefix.size(), end, step);
  // Only our own spelling: step_7 is somebody else's folder.
  if (failure != std::errc() || stop != end || name != folder_name(step)) return std::nullopt;
  return step;
}

/// Manifest and file sizes hold; contents are not read.
bool looks_valid(const std::string& path) {
  try {
    static_cast<void>(detail::read_manifest(path));
    return true;
  } catch (const InputError&) {
    return false;
  }
}

/// Without one it is no checkpoint, but what somebody has put there: not ours to delete.
bool has_manifest(const fs::path& path) { return fs::exists(path / detail::kManifestName); }

/// Under a hidden name first, so that a kill halfway leaves nothing that looks whole, or like somebody else's.
void delete_checkpoint(const fs::path& path) {
  const fs::path hidden = path.parent_path() / fmt::format(".{}.staged-deleted", path.filename().string());
  std::error_code failure;
  fs::remove_all(hidden, failure);
  if (!failure) fs::rename(path, hidden, failure);
  if (!failure) fs::remove_all(hidden, failure);
  if (failure)
    throw Error(fmt::format("{}: an old checkpoint cannot be deleted: {}", path.string(), failure.message()));
}

/// Makes room for a checkpoint where something else has its name.
void set_aside(const std::string& path) {
  if (!fs::exists(path) || has_manifest(path)) return;
  int number = 1;
  while (fs::exists(fmt::format("{}.aside-{}", path, number))) ++number;
  std::error_code failure;
  fs::rename(path, fmt::format("{}.aside-{}", path, number), failure);
  if (failure) throw Error(fmt::format("{}: cannot be set aside: {}", path, failure.message()));
}

}  // namespace

CheckpointStore::CheckpointStore(std::string folder, int save_total_limit, int keep_every)
    : folder_(std::move(folder)), save_total_limit_(save_total_limit), keep_every_(keep_every) {
  check(save_total_limit >= 1, "at least one checkpoint is kept");
}

AtomicFolder CheckpointStore::stage(std::int64_t step) const {
  // Made anew it would be a folder that nobody finds: without the run's configuration, perhaps on another file system.
  const fs::path run = fs::path(folder_).parent_path();
  if (!run.empty() && !fs::is_directory(run)) throw Error(fmt::format("{}: the run's folder has gone", run.string()));
  try {
    return AtomicFolder(path_of(step), AtomicFolder::Existing::kReplace);
  } catch (const InputError& failure) {
    throw Error(failure.what());  // the run's own folder, which was writable when the run started
  }
}

void CheckpointStore::commit(AtomicFolder& staged, std::int64_t step, BestMark best) const {
  set_aside(path_of(step));
  staged.commit();
  if (best == BestMark::kMove) replace_symlink(folder_ + "/best", folder_name(step));
  replace_symlink(folder_ + "/latest", folder_name(step));
  delete_over_limit();
}

void CheckpointStore::remove_staged() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder_, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::size_t end = name.find(".staged-");
    if (end == std::string::npos || !name.starts_with('.')) continue;
    if (find_step(name.substr(1, end - 1))) fs::remove_all(entry.path(), ignored);
  }
}

void CheckpointStore::mark_best(std::int64_t step) const {
  if (!fs::exists(path_of(step))) throw Error(fmt::format("{}: there is no such checkpoint to mark", path_of(step)));
  replace_symlink(folder_ + "/best", folder_name(step));
  delete_over_limit();
}

std::vector<std::int64_t> CheckpointStore::steps() const {
  std::vector<std::int64_t> steps;
  if (!fs::is_directory(folder_)) return steps;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const auto step = find_step(entry.path().filename().string());
    if (step && entry.is_directory() && !entry.is_symlink()) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

std::string CheckpointStore::path_of(std::int64_t step) const { return folder_ + "/" + folder_name(step); }

std::optional<std::string> CheckpointStore::find_pointer(const std::string& name) const {
  std::error_code failure;
  const fs::path value = fs::read_symlink(fs::path(folder_) / name, failure);
  std::string path = folder_ + "/" + value.string();
  if (failure || !fs::is_directory(path, failure)) return std::nullopt;
  return path;
}

FoundCheckpoint CheckpointStore::load_newest(Communicator& world,
                                             const std::function<void(const Checkpoint&)>& load) const {
  // One rank decides what there is, so that a folder that changes meanwhile cannot split the job.
  std::string newest_first;
  if (world.rank() == 0) {
    const std::vector<std::int64_t> all = steps();
    newest_first = fmt::format("{}", fmt::join(std::views::reverse(all), " "));
  }
  world.broadcast_bytes(newest_first, 0);
  std::istringstream numbers(newest_first);
  FoundCheckpoint found;
  for (std::int64_t step = 0; !found.checkpoint && numbers >> step;) {
    try {
      Checkpoint checkpoint = make_agreed(world, [&] { return Checkpoint::open(path_of(step)); });
      load(checkpoint);
      found.checkpoint = std::move(checkpoint);
    } catch (const AgreedError& failure) {
      if (failure.exit_code() != ExitCode::kBadInput) throw;
      found.skipped.emplace_back(failure.what());
    }
  }
  return found;
}

void CheckpointStore::delete_over_limit() const {
  std::set<std::string> pointed;
  for (const char* name : {"latest", "best"}) {
    if (const auto path = find_pointer(name)) pointed.insert(*path);
  }
  int num_kept = 0;
  const std::vector<std::int64_t> all = steps();
  for (const std::int64_t step : std::views::reverse(all)) {
    const std::string path = path_of(step);
    if (!has_manifest(path)) continue;
    const bool is_kept_for_good = keep_every_ > 0 && step % keep_every_ == 0;
    if (num_kept >= save_total_limit_ && !is_kept_for_good && !pointed.contains(path)) {
      delete_checkpoint(path);
    } else if (looks_valid(path)) {
      ++num_kept;
    }
  }
}

}  // namespace collimate
