// The manifest of a checkpoint, whose checksum is made right again, beside the files that it is of; and what is loaded
// by it.

#include "../../src/store/checksum.hpp"
#include "collimate/store/load_pieces.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/checkpoints.hpp"
#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

namespace {

constexpr std::int64_t kStep = 3;

std::filesystem::path folder() { return scratch() / "checkpoint"; }

const std::string& good_manifest() {
  static const std::string text = [] {
    const auto world = solo_group();
    write_checkpoint(folder(), sample_state(kStep), sample_pieces(kStep), *world);
    return read_bytes(folder() / "manifest.json");
  }();
  return text;
}

/// The pieces that another layout would ask for.
void load_slices(const Checkpoint& checkpoint) {
  const auto world = solo_group();
  std::vector<LoadRequest> requests;
  for (const int rank : {0, 1}) {
    for (const SavedPiece& piece : sample_pieces(kStep, 6, rank, 2)) requests.push_back(request_for(piece));
  }
  load_pieces(checkpoint, requests, *world);
}

}  // namespace

std::vector<std::string> seeds() { return {good_manifest()}; }

void read(const std::string& input) {
  static_cast<void>(good_manifest());
  write_bytes(folder() / "manifest.json", input);
  const Checkpoint checkpoint = Checkpoint::open(folder());
  checkpoint.verify();
  for (const std::string& group : checkpoint.group_names()) {
    for (const TensorInfo& tensor : checkpoint.tensors(group)) {
      expect(load_tensor(checkpoint, group, tensor.name).sizes() == tensor.shape,
             "a tensor has the shape of the manifest");
    }
  }
  load_slices(checkpoint);
}

std::string mutate(std::string input, Dice& dice) {
  std::string text = mutate_json(input, dice);
  if (dice.one_in(8)) return text;
  return detail::sealed(detail::with_checksum(std::move(text), detail::kNoChecksum));
}

}  // namespace collimate::fuzz
