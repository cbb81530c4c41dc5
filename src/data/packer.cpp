#include "collimate/data/packer.hpp"

#include <algorithm>
#include <functional>
#include <numeric>
#include <queue>
#include <utility>

#include "collimate/base/error.hpp"
#include "collimate/data/segment.hpp"

namespace collimate {

namespace {

using Indices = std::vector<std::size_t>;

/// Sizes of the batch's pairs: what they cost a rank, and what they take of a microbatch's budget.
struct PairSizes {
  std::vector<double> costs;
  std::vector<double> tokens;  ///< whole numbers, exact in a double
};

PairSizes measure(std::span<const PairLengths> batch, const PackingOptions& options) {
  PairSizes sizes;
  for (const PairLengths& lengths : batch) {
    const auto tokens = static_cast<double>(num_stream_tokens(lengths, options.layout));
    const auto segments = segments_of_pair(lengths, options.layout, 0);
    const auto keys = static_cast<double>(num_attended_keys(segments, options.cost.window));
    sizes.costs.push_back(options.cost.per_token * tokens + options.cost.per_attended_key * keys);
    sizes.tokens.push_back(tokens);
  }
  return sizes;
}

/// The lower index first among equal sizes, so that the plan does not depend on the sorting algorithm.
void sort_largest_first(Indices& indices, const std::vector<double>& sizes) {
  std::ranges::sort(indices, {}, [&](std::size_t index) { return std::pair(-sizes[index], index); });
}

double sum_of(const Indices& indices, const std::vector<double>& sizes) {
  double sum = 0;
  for (const std::size_t index : indices) sum += sizes[index];
  return sum;
}

/// Gives each index in turn to the bin with the least so far, the lowest of equals (Graham's greedy rule).
std::vector<Indices> spread(const Indices& indices, const std::vector<double>& sizes, std::size_t num_bins) {
  using Load = std::pair<double, std::size_t>;
  std::priority_queue<Load, std::vector<Load>, std::greater<>> loads;
  for (std::size_t bin = 0; bin < num_bins; ++bin) loads.emplace(0.0, bin);
  std::vector<Indices> bins(num_bins);
  for (const std::size_t index : indices) {
    const auto [load, bin] = loads.top();
    loads.pop();
    bins[bin].push_back(index);
    loads.emplace(load + sizes[index], bin);
  }
  return bins;
}

/// Best-fit decreasing: each index into the fullest bin that still takes it, a new one where none does.
std::vector<Indices> fill(const Indices& largest_first, const std::vector<double>& sizes, double budget) {
  std::vector<Indices> bins;
  std::vector<double> loads;
  for (const std::size_t index : largest_first) {
    std::size_t best = bins.size();
    for (std::size_t bin = 0; bin < bins.size(); ++bin) {
      const bool fits = loads[bin] + sizes[index] <= budget;
      if (fits && (best == bins.size() || loads[bin] > loads[best])) best = bin;
    }
    if (best == bins.size()) {
      bins.emplace_back();
      loads.push_back(0);
    }
    bins[best].push_back(index);
    loads[best] += sizes[index];
  }
  return bins;
}

/// Few bins first, even ones second: the smallest count at which spreading evenly keeps the budget, unless filling
/// tightly needs fewer.
std::vector<Indices> fill_evenly(const Indices& largest_first, const std::vector<double>& sizes, double budget) {
  std::vector<Indices> filled = fill(largest_first, sizes, budget);
  const double total = sum_of(largest_first, sizes);
  std::size_t num_bins = 1;
  while (static_cast<double>(num_bins) * budget < total) ++num_bins;
  for (; num_bins <= filled.size(); ++num_bins) {
    std::vector<Indices> even = spread(largest_first, sizes, num_bins);
    if (std::ranges::all_of(even, [&](const Indices& bin) { return sum_of(bin, sizes) <= budget; })) return even;
  }
  return filled;
}

std::vector<Indices> microbatches_of_rank(Indices indices, const std::vector<double>& tokens, double budget) {
  sort_largest_first(indices, tokens);
  const auto fitting = std::ranges::find_if(indices, [&](std::size_t index) { return tokens[index] <= budget; });
  std::vector<Indices> microbatches;
  for (auto oversized = indices.begin(); oversized != fitting; ++oversized) microbatches.push_back({*oversized});
  for (Indices& bin : fill_evenly(Indices(fitting, indices.end()), tokens, budget)) {
    microbatches.push_back(std::move(bin));
  }
  for (Indices& microbatch : microbatches) std::ranges::sort(microbatch);
  std::ranges::sort(microbatches, {}, [&](const Indices& bin) { return std::pair(-sum_of(bin, tokens), bin.front()); });
  return microbatches;
}

}  // namespace

PackingPlan pack(std::span<const PairLengths> batch, const PackingOptions& options) {
  check(options.num_dp_ranks >= 1, "there is at least one data-parallel rank");
  check(options.microbatch_tokens >= 1, "a microbatch has room for a token");
  const PairSizes sizes = measure(batch, options);
  Indices all(batch.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  sort_largest_first(all, sizes.costs);
  PackingPlan plan;
  for (Indices& rank : spread(all, sizes.costs, static_cast<std::size_t>(options.num_dp_ranks))) {
    plan.microbatches.push_back(
        microbatches_of_rank(std::move(rank), sizes.tokens, static_cast<double>(options.microbatch_tokens)));
  }
  std::size_t most = 0;
  for (const auto& own : plan.microbatches) most = std::max(most, own.size());
  for (auto& own : plan.microbatches) own.resize(most);
  return plan;
}

}  // namespace collimate
