#include "collimate/engine/scorer.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/engine/batch_source.hpp"

namespace collimate {

namespace {

double sum_of(std::span<const double> token_log_probs, std::uint32_t num_tokens) {
  double sum = 0.0;
  for (const double value : token_log_probs.first(num_tokens)) sum += value;
  return sum;
}

// `tokens`: log-probs of the labelled rows from the pair's first chosen one on, chosen before rejected; `sums`: of
// its two responses, by the head itself, so that a policy with the same weights gets the same value to the bit.
ReferenceRow row_of(const PreferenceDataset& dataset, std::uint64_t pair, std::span<const double> tokens,
                    std::span<const double> sums, bool keeps_tokens) {
  const PairLengths lengths = dataset.lengths(pair);
  ReferenceRow row{.pair_id = dataset.pair_id(pair),
                   .chosen_logps = sums[0],
                   .rejected_logps = sums[1],
                   .num_chosen_tokens = static_cast<std::uint32_t>(lengths.num_labelled_chosen_tokens),
                   .num_rejected_tokens = static_cast<std::uint32_t>(lengths.num_labelled_rejected_tokens)};
  const std::uint32_t num_common = std::min(row.num_chosen_tokens, row.num_rejected_tokens);
  row.chosen_common_logps = sum_of(tokens, num_common);
  row.rejected_common_logps = sum_of(tokens.subspan(row.num_chosen_tokens), num_common);
  if (keeps_tokens) {
    tokens = tokens.first(row.num_chosen_tokens + row.num_rejected_tokens);
    std::ranges::transform(tokens, std::back_inserter(row.token_logps), [](double x) { return static_cast<float>(x); });
  }
  if (!std::isfinite(row.chosen_logps + row.rejected_logps)) {
    throw Error(fmt::format("{}: the reference gives log-probs {} (chosen) and {} (rejected), which must be finite",
                            dataset.describe_pair(pair), row.chosen_logps, row.rejected_logps));
  }
  return row;
}

std::span<const double> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<double>(), static_cast<std::size_t>(tensor.numel())};
}

std::vector<PairLengths> lengths_of(std::span<const PairPlace> block) {
  std::vector<PairLengths> lengths;
  for (const auto& [dataset, pair] : block) lengths.push_back(dataset->lengths(pair));
  return lengths;
}

std::vector<PackingPlan::MicroBatchIndices> pack_alone(std::span<const PairLengths> lengths, PackingOptions packing) {
  packing.num_dp_ranks = 1;
  return pack(lengths, packing).microbatches.front();
}

MicroBatch read_microbatch(std::span<const PairPlace> block, std::span<const std::size_t> positions,
                           const PairLayout& layout) {
  std::vector<PairTokens> tokens;
  for (const std::size_t position : positions) tokens.push_back(block[position].dataset->read(block[position].pair));
  return build_microbatch(tokens, layout);
}

}  // namespace

std::vector<StreamSize> block_streams(std::span<const PairPlace> block, const PackingOptions& packing) {
  const std::vector<PairLengths> lengths = lengths_of(block);
  return packed_sizes(lengths, pack_alone(lengths, packing), packing.layout);
}

BlockStreams read_block(std::span<const PairPlace> block, const PackingOptions& packing) {
  BlockStreams streams{.positions = pack_alone(lengths_of(block), packing), .microbatches = {}};
  for (const auto& positions : streams.positions) {
    streams.microbatches.push_back(read_microbatch(block, positions, packing.layout));
  }
  return streams;
}

std::vector<ReferenceRow> score_block(ModelPass& pass, std::span<const PairPlace> block, const BlockStreams& streams,
                                      bool keeps_tokens) {
  const at::NoGradGuard no_grad;
  std::vector<ReferenceRow> rows(pass.is_speaker() ? block.size() : 0);
  pass.evaluate(streams.microbatches, [&](std::size_t index, const ResponseLogProbs& log_probs) {
    if (!pass.is_speaker()) return at::Tensor();
    const ResponseLogProbs own{.sums = log_probs.sums.cpu(), .tokens = log_probs.tokens.cpu()};
    std::span<const double> tokens = values_of(own.tokens);
    std::span<const double> sums = values_of(own.sums);
    for (const std::size_t position : streams.positions[index]) {
      const ReferenceRow row = row_of(*block[position].dataset, block[position].pair, tokens, sums, keeps_tokens);
      tokens = tokens.subspan(row.num_chosen_tokens + row.num_rejected_tokens);
      sums = sums.subspan(2);
      rows[position] = row;
    }
    return at::Tensor();
  });
  return rows;
}

}  // namespace collimate
