// Runs pairs of tokens through model folders and writes what comes out, for logits_test.py to compare: for every line
// "MODEL REQUEST.json OUTPUT.safetensors" on its input it answers "done", or why not, in a line. The request is
// {"pairs":
// [{"prompt": [..], "chosen": [..], "rejected": [..]}], "num_rope_positions": n}. For both dtypes and both layouts, as
// "<dtype>.<shared|apart>.": logits of all stream rows, sums per response, log-probs per labelled row; and "rope.cos",
// "rope.sin" of the first positions in float32.
#include <exception>
#include <fstream>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/data/microbatch.hpp"
#include "collimate/io/output_file.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/nn/rope.hpp"
#include "collimate/store/model_folder.hpp"

namespace collimate {
namespace {

struct NamedTensor {
  std::string name;
  at::Tensor value;
};

std::vector<PairTokens> read_pairs(const nlohmann::json& request) {
  std::vector<PairTokens> pairs;
  for (const auto& entry : request.at("pairs")) {
    PairTokens pair{.pair_index = pairs.size(), .lengths = {}, .tokens = {}};
    const auto append = [&](const char* part) {
      const auto tokens = entry.at(part).get<std::vector<std::uint32_t>>();
      pair.tokens.insert(pair.tokens.end(), tokens.begin(), tokens.end());
      return static_cast<std::int64_t>(tokens.size());
    };
    const std::int64_t num_prompt_tokens = append("prompt");
    const std::int64_t num_chosen_tokens = append("chosen");
    const std::int64_t num_rejected_tokens = append("rejected");
    pair.lengths = {num_prompt_tokens, num_chosen_tokens, num_rejected_tokens};
    pairs.push_back(std::move(pair));
  }
  return pairs;
}

void run_layouts(const Stage& stage, const std::vector<PairTokens>& pairs, const std::string& dtype,
                 std::vector<NamedTensor>& results) {
  for (const bool prefix_sharing : {true, false}) {
    const MicroBatch microbatch =
        build_microbatch(pairs, {.prefix_sharing = prefix_sharing, .responses = Responses::kBoth});
    const at::Tensor hidden = stage.forward(microbatch);
    const ResponseLogProbs log_probs =
        response_log_probs(hidden, stage.head(), microbatch.rows, microbatch.num_responses);
    const std::string prefix = fmt::format("{}.{}.", dtype, prefix_sharing ? "shared" : "apart");
    results.push_back({prefix + "logits", hidden.matmul(stage.head().weight.t())});
    results.push_back({prefix + "sums", log_probs.sums});
    results.push_back({prefix + "tokens", log_probs.tokens});
  }
}

void write_results(const std::string& path, const std::vector<NamedTensor>& results) {
  std::vector<TensorInfo> infos;
  for (const NamedTensor& result : results) {
    infos.push_back({.name = result.name,
                     .dtype = result.value.scalar_type() == at::kDouble ? StorageDtype::kF64 : StorageDtype::kF32,
                     .shape = result.value.sizes().vec()});
  }
  OutputFile file(path);
  SafetensorsWriter writer(file, infos);
  for (const NamedTensor& result : results) {
    const at::Tensor value = result.value.contiguous();
    writer.append({static_cast<const std::byte*>(value.const_data_ptr()), value.nbytes()});
  }
  writer.finish();
  file.close();
}

void run(const std::string& model_path, const std::string& request_path, const std::string& output_path) {
  const at::NoGradGuard no_grad;
  const ModelFolder folder = ModelFolder::open(model_path);
  const auto request = nlohmann::json::parse(std::ifstream(request_path));
  std::vector<NamedTensor> results;
  for (const auto& [name, dtype] : {std::pair("float32", at::kFloat), std::pair("float64", at::kDouble)}) {
    const ModelShard shard(folder.spec(), parts_of([&, type = dtype](const LogicalTensor& tensor) {
                             return folder.load(tensor.name, type);
                           }),
                           {.dtype = dtype, .trainable = false});
    run_layouts(shard.stage(0), read_pairs(request), name, results);
  }
  std::vector<std::int64_t> positions(request.at("num_rope_positions").get<std::size_t>());
  std::iota(positions.begin(), positions.end(), 0);
  const at::Tensor frequencies = rope_inverse_frequencies(folder.spec().rope, folder.spec().head_dim);
  const RopeTable table = rope_table(frequencies, positions, at::kFloat);
  results.push_back({"rope.cos", table.cos});
  results.push_back({"rope.sin", table.sin});
  write_results(output_path, results);
}

}  // namespace
}  // namespace collimate

int main() {
  std::string model;
  std::string request;
  std::string output;
  while (std::cin >> model >> request >> output) {
    try {
      collimate::run(model, request, output);
      std::cout << "done" << std::endl;
    } catch (const std::exception& error) {
      std::cout << nlohmann::json(error.what()) << std::endl;
    }
  }
  return 0;
}
