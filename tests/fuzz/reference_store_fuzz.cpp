// Reference stores, with values of single tokens and without.

#include "collimate/store/inspect.hpp"
#include "collimate/store/reference_store.hpp"
#include "fuzz/engine/mutate_hdf5.hpp"
#include "fuzz/engine/scratch.hpp"
#include "fuzz/engine/target.hpp"
#include "support/temporary_folder.hpp"

namespace collimate::fuzz {

namespace {

std::string written(bool per_token) {
  const std::string digits(32, 'a');
  const ReferenceIdentity identity{.weights_fingerprint = digits,
                                   .model_config_fingerprint = digits,
                                   .tokenization = {.tokenizer_fingerprint = digits,
                                                    .chat_template_fingerprint = digits,
                                                    .overlong = "drop",
                                                    .max_length = 64,
                                                    .vocab_size = 100},
                                   .dtype = ComputeDtype::kFloat32};
  std::vector<ReferenceRow> rows;
  for (std::uint64_t i = 0; i < 3; ++i) {
    rows.push_back({.pair_id = {.high = i, .low = 7},
                    .chosen_logps = -2.5,
                    .rejected_logps = -3.5,
                    .chosen_common_logps = -1.5,
                    .rejected_common_logps = -2.0,
                    .num_chosen_tokens = 2,
                    .num_rejected_tokens = 3});
    if (per_token) rows.back().token_logps.assign(5, -0.5F);
  }
  const std::string path = scratch() / "seed.h5";
  ReferenceStore(identity, rows, {.microbatch_tokens = 128, .block_pairs = 2, .per_token = per_token}).write(path);
  return read_bytes(path);
}

}  // namespace

std::vector<std::string> seeds() { return {written(false), written(true)}; }

void read(const std::string& input) {
  const std::string path = scratch() / "input.h5";
  write_bytes(path, input);
  static_cast<void>(inspect_path(path, InspectDepth::kVerify));
}

std::string mutate(std::string input, Dice& dice) {
  static const std::vector<std::string> good = seeds();
  return mutate_hdf5(std::move(input), good, dice);
}

}  // namespace collimate::fuzz
