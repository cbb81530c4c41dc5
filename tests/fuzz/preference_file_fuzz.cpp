// Preference files: all that training, scoring and `inspect` read of them.

#include "collimate/data/preference_dataset.hpp"
#include "collimate/data/preference_file.hpp"
#include "collimate/store/inspect.hpp"
#include "fuzz/engine/mutate_hdf5.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/preference_file.hpp"
#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

namespace {

constexpr std::int64_t kVocabSize = 100;

std::string written(const std::vector<TestPair>& pairs) {
  const std::string path = scratch() / "seed.h5";
  write_preference_file(path, pairs);
  return read_bytes(path);
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<TestPair> labelled = random_preference_pairs(3, 4, 5, kVocabSize);
  label_some_tokens(labelled, 3);
  return {written(random_preference_pairs(1, 1, 5, kVocabSize)), written(random_preference_pairs(2, 4, 5, kVocabSize)),
          written(labelled)};
}

void read(const std::string& input) {
  const std::string path = scratch() / "input.h5";
  write_bytes(path, input);
  static_cast<void>(inspect_path(path, InspectDepth::kVerify));
  const std::vector<DataSource> sources{{.path = path}};
  const PreferenceDataset pairs("data.train", sources, 0.0);
  expect(pairs.size() > 0 && pairs.num_tokens() > 0 && pairs.longest_sequence() > 0, "a data set is not empty");
  pairs.scan_tokens(0, pairs.size(), kVocabSize);
  for (std::uint64_t pair = 0; pair < pairs.size(); ++pair) {
    expect(std::ssize(pairs.read(pair).tokens) == pairs.lengths(pair).num_tokens(), "a pair has its tokens");
  }
  static_cast<void>(pairs.fingerprint());
}

std::string mutate(std::string input, Dice& dice) {
  static const std::vector<std::string> good = seeds();
  return mutate_hdf5(std::move(input), good, dice);
}

}  // namespace collimate::fuzz
