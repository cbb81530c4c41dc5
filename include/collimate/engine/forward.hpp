#pragma once
// From the log-probs of a microbatch to what the losses asked for.

#include <cstdint>
#include <optional>
#include <span>

#include "collimate/data/preference_dataset.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/objective/loss.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// Puts what a loss needs of the microbatch's pairs side by side. `reference` may be null where no loss needs one;
/// every pair has a row in it (the program has checked that before it started). *Local.*
PairBatch pair_batch(const ResponseLogProbs& log_probs, const MicroBatch& microbatch, const PairLayout& layout,
                     const PreferenceDataset& dataset, const ReferenceStore* reference);

}  // namespace collimate
