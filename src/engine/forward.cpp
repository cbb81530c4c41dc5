#include "collimate/engine/forward.hpp"

#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/ops/tensor.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

at::Tensor column(const std::vector<double>& values) { return at::tensor(values, at::kDouble); }

void add_reference(PairBatch& pairs, const MicroBatch& microbatch, const PreferenceDataset& dataset,
                   const ReferenceStore& reference) {
  std::vector<double> chosen;
  std::vector<double> rejected;
  for (const std::int64_t pair : microbatch.pair_indices) {
    const auto row = reference.find(dataset.pair_id(static_cast<std::uint64_t>(pair)));
    check(row.has_value(), "every pair has a row in the reference store");
    chosen.push_back(row->chosen_logps);
    rejected.push_back(row->rejected_logps);
  }
  pairs.reference_chosen = column(chosen);
  pairs.reference_rejected = column(rejected);
}

}  // namespace

PairBatch pair_batch(const ResponseLogProbs& log_probs, const MicroBatch& microbatch, const PairLayout& layout,
                     const PreferenceDataset& dataset, const ReferenceStore* reference) {
  const std::int64_t per_pair = num_responses_per_pair(layout);
  // Two numbers a pair: losses are taken on the CPU, wherever the model is.
  const at::Tensor sums = log_probs.sums.to(at::kCPU).view({microbatch.num_pairs(), per_pair});
  PairBatch pairs;
  pairs.policy_chosen = sums.select(1, 0);
  if (per_pair == 2) pairs.policy_rejected = sums.select(1, 1);
  if (reference != nullptr) add_reference(pairs, microbatch, dataset, *reference);

  std::vector<double> label;
  std::vector<double> weight;
  std::vector<double> num_labelled_chosen_tokens;
  for (const std::int64_t index : microbatch.pair_indices) {
    const auto pair = static_cast<std::uint64_t>(index);
    label.push_back(dataset.label(pair));
    weight.push_back(dataset.weight(pair));
    num_labelled_chosen_tokens.push_back(static_cast<double>(dataset.lengths(pair).num_labelled_chosen_tokens));
  }
  pairs.label = column(label);
  pairs.weight = column(weight);
  pairs.num_labelled_chosen_tokens = column(num_labelled_chosen_tokens);
  return pairs;
}

}  // namespace collimate
