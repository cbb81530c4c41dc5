#include "collimate/store/weights_fingerprint.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include <fmt/format.h>

#include "byte_shares.hpp"
#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

bool are_equal(const std::vector<std::string>& texts) {
  return std::ranges::all_of(texts, [&](const std::string& text) { return text == texts.front(); });
}

// Shares follow from the tensors, so all ranks must have the same ones.
void require_same_tensors(const ModelSource& model, Communicator& world) {
  const auto lists = world.all_gather_bytes(model.tensor_list_hash().hex());
  run_agreed(world, [&] {
    if (are_equal(lists)) return;
    throw InputError(fmt::format("{}: the weights beside it have other shapes or dtypes on one host than on another",
                                 model.config_path()));
  });
}

// The key that all ranks' caches have in common while their files stand as they were opened, or else nothing.
std::string common_key(const std::optional<FingerprintCache>& cache, Communicator& world) {
  const auto keys = world.all_gather_bytes(cache && cache->is_current() ? cache->key() : "");
  return are_equal(keys) ? keys.front() : "";
}

std::string find_cached(const FingerprintCache& cache, Communicator& world) {
  std::string fingerprint = world.rank() == 0 ? cache.find().value_or("") : "";
  world.broadcast_bytes(fingerprint, 0);
  return fingerprint;
}

std::string hash_together(const ModelSource& model, Communicator& world) {
  const std::vector<TensorInfo>& tensors = model.tensors();
  std::vector<std::size_t> all(tensors.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  const auto shares = detail::byte_shares(tensors, all, world.size());
  const auto own = make_agreed(world, [&] {
    std::vector<Hash128> hashes_of_own;
    for (const std::size_t index : shares[static_cast<std::size_t>(world.rank())]) {
      note_work(world.activity(), "hashing weights, tensor {}", tensors[index].name);
      hashes_of_own.push_back(model.tensor_hashes({&index, 1}).front());
    }
    return hashes_of_own;
  });
  const auto parts = world.all_gather_bytes({reinterpret_cast<const char*>(own.data()), own.size() * sizeof(Hash128)});
  std::vector<TensorHash> hashes;
  for (std::size_t rank = 0; rank < shares.size(); ++rank) {
    check(parts[rank].size() == shares[rank].size() * sizeof(Hash128), "a rank gives a hash for each of its tensors");
    for (std::size_t i = 0; i < shares[rank].size(); ++i) {
      TensorHash& tensor = hashes.emplace_back(TensorHash{.info = tensors[shares[rank][i]], .hash = {}});
      std::memcpy(&tensor.hash, parts[rank].data() + i * sizeof(Hash128), sizeof(Hash128));
    }
  }
  return combine_tensor_hashes(hashes).hex();
}

}  // namespace

std::string weights_fingerprint(const ModelSource& model, Communicator& world) {
  const auto began = std::chrono::system_clock::now();
  require_same_tensors(model, world);
  const std::optional<FingerprintCache> cache = model.fingerprint_cache();
  const std::string key = common_key(cache, world);
  if (key.empty()) return hash_together(model, world);
  if (std::string cached = find_cached(*cache, world); !cached.empty()) return cached;
  const bool may_save = world.rank() == 0 && cache->make_durable();
  const std::string fingerprint = hash_together(model, world);
  if (common_key(cache, world) == key && may_save) cache->save(fingerprint, began);
  return fingerprint;
}

std::string weights_fingerprint(const ModelSource& model) {
  const std::optional<FingerprintCache> cache = model.fingerprint_cache();
  const std::optional<std::string> cached = cache ? cache->find() : std::nullopt;
  return cached ? *cached : model.weights_fingerprint().hex();
}

}  // namespace collimate
