#include "collimate/store/fingerprint_cache.hpp"

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checksum.hpp"
#include "collimate/base/error.hpp"
#include "collimate/base/json.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

constexpr const char* kCacheFormat = "collimate.fingerprint";
// Also of what a fingerprint is: one that is computed in another way needs another version.
constexpr int kCacheFormatVersion = 2;
// The coarsest clock of a file system in use, FAT's.
constexpr std::chrono::seconds kCoarsestClock{2};

std::string key_of(const std::string& tensor_list, const std::vector<WeightFile>& files) {
  nlohmann::ordered_json json = {{"tensors", tensor_list}, {"files", nlohmann::ordered_json::array()}};
  for (const auto& [path, state] : files) {
    json["files"].push_back({{"name", fs::path(path).filename().string()},
                             {"bytes", state.num_bytes},
                             {"modified_ns", state.modified_ns},
                             {"changed_ns", state.changed_ns},
                             {"inode", state.inode}});
  }
  return json.dump(1);
}

// What a cache says that someone has written, true or not; nullopt where it is no cache.
std::optional<std::string> find_claim(const std::string& text, const std::string& path) {
  const nlohmann::json json = parse_json(text, path);
  if (!json.is_object() || !json.contains("fingerprint") || !json["fingerprint"].is_string()) return std::nullopt;
  return json["fingerprint"].get<std::string>();
}

}  // namespace

std::string fingerprint_cache_path(const std::string& folder) {
  std::error_code failure;
  const fs::path real = fs::canonical(folder, failure);
  if (failure) return {};
  fs::path place = real.parent_path();
  const bool is_snapshot = place.filename() == "snapshots" && fs::is_directory(place.parent_path() / "blobs", failure);
  if (is_snapshot) place = place.parent_path();
  return (place / (real.filename().string() + ".fingerprint.json")).string();
}

FingerprintCache::FingerprintCache(const std::string& folder, const std::string& tensor_list,
                                   std::vector<WeightFile> files)
    : path_(fingerprint_cache_path(folder)), files_(std::move(files)), key_(key_of(tensor_list, files_)) {}

bool FingerprintCache::is_current() const {
  return std::ranges::all_of(files_, [](const WeightFile& file) { return find_file_state(file.path) == file.state; });
}

std::string FingerprintCache::text_with(const std::string& fingerprint) const {
  nlohmann::ordered_json json = {{"format", kCacheFormat},
                                 {"format_version", kCacheFormatVersion},
                                 {"checksum", detail::kNoChecksum},
                                 {"fingerprint", fingerprint}};
  json.update(nlohmann::ordered_json::parse(key_));
  return detail::sealed(json.dump(1) + "\n");
}

std::optional<std::string> FingerprintCache::find() const {
  try {
    const auto text = find_text_file(path_);
    auto fingerprint = text ? find_claim(*text, path_) : std::nullopt;
    const bool holds = fingerprint && *text == text_with(*fingerprint) && is_current();
    return holds ? fingerprint : std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;
  }
}

bool FingerprintCache::make_durable() const {
  try {
    for (const WeightFile& file : files_) sync_path(file.path);
    return true;
  } catch (const Error&) {
    return false;
  }
}

void FingerprintCache::save(const std::string& fingerprint, std::chrono::system_clock::time_point hashing_began) const {
  const std::chrono::nanoseconds settled = hashing_began.time_since_epoch() - kCoarsestClock;
  const bool are_settled = std::ranges::all_of(files_, [&](const WeightFile& file) {
    return std::max(file.state.modified_ns, file.state.changed_ns) < settled.count();
  });
  if (path_.empty() || !are_settled) return;
  try {
    write_file_atomically(path_, text_with(fingerprint));
  } catch (const Error&) {
    return;  // the next job reads the weights again
  }
}

}  // namespace collimate
