#include "collimate/engine/scorer.hpp"

#include <algorithm>
#include <cmath>
#include <map>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate {

namespace {

using RowsByPair = std::map<std::uint64_t, ReferenceRow>;

double sum_of(std::span<const double> token_log_probs, std::uint32_t num_tokens) {
  double sum = 0.0;
  for (const double value : token_log_probs.first(num_tokens)) sum += value;
  return sum;
}

// `tokens`: log-probs of the labelled rows from the pair's first chosen token on, chosen before rejected; `sums`: of
// its two responses, by the head itself, so that a policy with the same weights gets the same value to the bit.
ReferenceRow row_of(const PreferenceDataset& dataset, std::uint64_t pair, std::span<const double> tokens,
                    std::span<const double> sums) {
  const PairLengths lengths = dataset.lengths(pair);
  ReferenceRow row{.pair_id = dataset.pair_id(pair),
                   .chosen_logps = sums[0],
                   .rejected_logps = sums[1],
                   .num_chosen_tokens = static_cast<std::uint32_t>(lengths.num_chosen_tokens),
                   .num_rejected_tokens = static_cast<std::uint32_t>(lengths.num_rejected_tokens)};
  const std::uint32_t num_common = std::min(row.num_chosen_tokens, row.num_rejected_tokens);
  row.chosen_common_logps = sum_of(tokens, num_common);
  row.rejected_common_logps = sum_of(tokens.subspan(row.num_chosen_tokens), num_common);
  if (!std::isfinite(row.chosen_logps + row.rejected_logps)) {
    throw Error(fmt::format("{}: the reference gives log-probs {} (chosen) and {} (rejected), which must be finite",
                            dataset.describe_pair(pair), row.chosen_logps, row.rejected_logps));
  }
  return row;
}

std::span<const double> values_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr<double>(), static_cast<std::size_t>(tensor.numel())};
}

using Block = std::vector<std::vector<std::uint64_t>>;  // pairs by microbatch

// Log-probs of this rank's microbatches, where it speaks for its copy of the model; else nothing.
std::vector<ResponseLogProbs> run_own(ModelPass& pass, const BatchSource& source, const BatchPlan& plan) {
  const std::vector<MicroBatch> microbatches = source.read_all(plan);
  std::vector<ResponseLogProbs> all(pass.is_speaker() ? microbatches.size() : 0);
  pass.evaluate(microbatches, [&](std::size_t index, const ResponseLogProbs& log_probs) {
    if (pass.is_speaker()) all[index] = {.sums = log_probs.sums.cpu(), .tokens = log_probs.tokens.cpu()};
    return at::Tensor();
  });
  return all;
}

RowsByPair rows_of(const PreferenceDataset& dataset, const Block& block, std::span<const ResponseLogProbs> results) {
  RowsByPair rows;
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (block[i].empty()) continue;
    std::span<const double> tokens = values_of(results[i].tokens);
    std::span<const double> sums = values_of(results[i].sums);
    for (const std::uint64_t pair : block[i]) {
      const ReferenceRow row = row_of(dataset, pair, tokens, sums);
      tokens = tokens.subspan(row.num_chosen_tokens + row.num_rejected_tokens);
      sums = sums.subspan(2);
      rows.emplace(pair, row);
    }
  }
  return rows;
}

// Rows travel as their bytes: all ranks are the same program on the same kind of machine.
static_assert(std::is_trivially_copyable_v<ReferenceRow>);

std::string packed(const RowsByPair& rows) {
  std::string bytes;
  for (const auto& [pair, row] : rows) {
    bytes.append(reinterpret_cast<const char*>(&pair), sizeof(pair));
    bytes.append(reinterpret_cast<const char*>(&row), sizeof(row));
  }
  return bytes;
}

void unpack_into(RowsByPair& rows, std::span<const char> bytes) {
  constexpr std::size_t kEntryBytes = sizeof(std::uint64_t) + sizeof(ReferenceRow);
  for (; !bytes.empty(); bytes = bytes.subspan(kEntryBytes)) {
    std::uint64_t pair = 0;
    ReferenceRow row;
    std::copy_n(bytes.data(), sizeof(pair), reinterpret_cast<char*>(&pair));
    std::copy_n(bytes.data() + sizeof(pair), sizeof(row), reinterpret_cast<char*>(&row));
    rows.emplace(pair, row);
  }
}

}  // namespace

std::vector<ReferenceRow> score_pairs(ModelPass& pass, const BatchSource& source,
                                      std::span<const std::uint64_t> pair_indices, std::int64_t block_pairs,
                                      Communicator& world, const ScoringProgress& progress) {
  const at::NoGradGuard no_grad;
  std::vector<ReferenceRow> rows;
  rows.reserve(pair_indices.size());
  const auto block_size = static_cast<std::size_t>(block_pairs);
  for (std::size_t begin = 0; begin < pair_indices.size(); begin += block_size) {
    const auto block = pair_indices.subspan(begin, std::min(block_size, pair_indices.size() - begin));
    const BatchPlan plan = source.plan(block);
    const std::vector<ResponseLogProbs> results = run_own(pass, source, plan);
    const RowsByPair own = make_agreed(world, [&] { return rows_of(source.dataset(), plan.microbatches, results); });
    RowsByPair all;
    for (const std::string& bytes : world.all_gather_bytes(packed(own))) unpack_into(all, bytes);
    for (const std::uint64_t pair : block) rows.push_back(all.at(pair));
    progress(rows.size());
  }
  return rows;
}

}  // namespace collimate
