// The cache of a model folder's fingerprint, which nothing but itself makes valid.

#include "../../src/store/checksum.hpp"
#include "collimate/store/fingerprint_cache.hpp"
#include "collimate/store/model_folder.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/model_folder.hpp"

namespace collimate::fuzz {

namespace {

/// A model folder whose cache is there.
const ModelFolder& cached_model() {
  static const ModelFolder folder = [] {
    const std::string path = scratch() / "model";
    write_model_folder(path, tiny_config(), tiny_tensors(tiny_config()));
    return ModelFolder::open(path);
  }();
  return folder;
}

std::string cache_path() { return fingerprint_cache_path(scratch() / "model"); }

const std::string& valid_cache() {
  static const std::string text = [] {
    using std::chrono::hours;
    const ModelFolder& folder = cached_model();
    folder.fingerprint_cache()->save(folder.weights_fingerprint().hex(), std::chrono::system_clock::now() + hours(1));
    return read_bytes(cache_path());
  }();
  return text;
}

}  // namespace

std::vector<std::string> seeds() { return {valid_cache()}; }

void read(const std::string& input) {
  static_cast<void>(valid_cache());
  write_bytes(cache_path(), input);
  const auto found = cached_model().fingerprint_cache()->find();
  if (!found) return;
  const std::string valid = cached_model().fingerprint_cache()->key();
  expect(input.ends_with(valid.substr(1) + "\n"), "a cache is believed only where it names these very files");
  expect(detail::sealed(detail::with_checksum(input, detail::kNoChecksum)) == input,
         "a cache is believed only if it is whole");
}

std::string mutate(std::string input, Dice& dice) {
  std::string text = mutate_json(input, dice);
  if (dice.one_in(4)) return text;
  return detail::sealed(detail::with_checksum(std::move(text), detail::kNoChecksum));
}

}  // namespace collimate::fuzz
