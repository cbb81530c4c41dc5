#include "collimate/store/block_parts.hpp"

#include <algorithm>
#include <filesystem>
#include <ranges>
#include <vector>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/hash.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBlockPrefix = "block_";

std::vector<Hash128> ids_of(const ReferenceStore& store) {
  std::vector<Hash128> ids;
  for (const ReferenceRow& row : store.rows()) ids.push_back(row.pair_id);
  return ids;
}

}  // namespace

BlockParts::BlockParts(std::string store_path, ReferenceIdentity identity, ReferenceForm form)
    : folder_(std::move(store_path) + ".parts"), identity_(std::move(identity)), form_(form) {}

void BlockParts::prepare() {
  const std::string name = (fs::path(folder_) / "probe").string();
  made_.emplace(name);
  const AtomicFile probe(name);
}

std::string BlockParts::path_of(std::span<const Hash128> pair_ids) const {
  StreamingHash hash;
  for (const std::string& fingerprint : {identity_.weights_fingerprint, identity_.model_config_fingerprint}) {
    hash.update(fingerprint);
  }
  for (const Hash128& id : pair_ids) hash.update(id.hex());
  return (fs::path(folder_) / fmt::format("{}{}.h5", kBlockPrefix, hash.digest().hex())).string();
}

std::optional<ReferenceStore> BlockParts::find(std::span<const Hash128> pair_ids) const {
  const std::string path = path_of(pair_ids);
  if (!fs::exists(path)) return std::nullopt;
  try {
    ReferenceStore store = ReferenceStore::open(path, TokenValues::kRead);
    const bool is_same =
        store.identity() == identity_ && store.form() == form_ && std::ranges::equal(ids_of(store), pair_ids);
    return is_same ? std::optional(std::move(store)) : std::nullopt;
  } catch (const InputError&) {
    return std::nullopt;  // damaged: scored again
  }
}

void BlockParts::save(std::vector<ReferenceRow> rows) const {
  const ReferenceStore block(identity_, std::move(rows), form_);
  const std::string path = path_of(ids_of(block));
  if (!fs::is_directory(folder_)) throw Error(fmt::format("{}: the folder has gone", folder_));
  try {
    block.write(path);
  } catch (const InputError& failure) {
    throw Error(failure.what());  // the folder was there when the job began
  }
}

void BlockParts::remove() const {
  std::error_code failure;
  for (const auto& entry : fs::directory_iterator(folder_, failure)) {
    const std::string name = entry.path().filename().string();
    if (name.find(kBlockPrefix) != std::string::npos) fs::remove(entry.path(), failure);
  }
  fs::remove(folder_, failure);  // only if nothing else is in it
}

}  // namespace collimate
