// Writes one of each thing into the folder given, for formats_test.py, and prints what it knows of them as JSON.

#include <iostream>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>

#include "collimate/store/checkpoint.hpp"
#include "collimate/store/export.hpp"
#include "collimate/store/initialize.hpp"
#include "collimate/store/model_folder.hpp"
#include "collimate/store/reference_store.hpp"
#include "support/checkpoints.hpp"
#include "support/model_folder.hpp"
#include "support/preference_file.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;

void write_samples(const fs::path& root) {
  write_preference_file(root / "train.h5", preference_content({{{1, 2}, {3}, {4, 5}}, {{6}, {7}, {8}}}));
  const ReferenceRow row{.pair_id = {.high = 1, .low = 2},
                         .chosen_logps = -1.5,
                         .num_chosen_tokens = 1,
                         .num_rejected_tokens = 1,
                         .token_logps = {-1.5F, 0.0F}};
  ReferenceStore({.weights_fingerprint = "0123"}, {row},
                 {.microbatch_tokens = 4096, .block_pairs = 256, .per_token = true})
      .write(root / "reference.h5");

  write_bytes(root / "config.json", tiny_config().dump());
  const RandomWeights source(root / "config.json", 5);
  const LoadTensor weights = [&](const std::string& name) { return source.load(name, at::kFloat); };
  export_model_folder(source, weights, {.folder = root / "model"});
  export_model_folder(source, weights,
                      {.folder = root / "sharded", .dtype = ExportDtype::kBfloat16, .max_shard_bytes = 500});

  fs::create_directory(root / "step");
  write_checkpoint(root / "step", sample_state(7), sample_pieces(7), *solo_group());

  const nlohmann::json facts = {{"weights_fingerprint", source.weights_fingerprint().hex()},
                                {"config_fingerprint", source.config_fingerprint().hex()}};
  std::cout << facts.dump() << "\n";
}

}  // namespace
}  // namespace collimate

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  collimate::write_samples(argv[1]);
  return 0;
}
