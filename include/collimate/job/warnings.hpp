#pragma once
// What is allowed in a run but seldom meant: advice of the `check` verb, each with its reason. Pure.

#include <cstdint>
#include <string>
#include <vector>

#include "collimate/job/config.hpp"

namespace collimate {

/// What only the data and the losses can tell about a run.
struct RunFacts {
  std::int64_t num_train_pairs = 0;      ///< after filtering, each pair counted once
  std::int64_t num_pairs_per_epoch = 0;  ///< with `repeat`
  bool has_evaluation = false;
  std::int64_t num_eval_pairs_in_training = 0;  ///< evaluation pairs that also stand in the training data
  bool uses_preference_loss = false;            ///< a loss that needs rejected responses
};

/// The warnings about `config` on data with these facts; each names the key, the value and the reason. *Local.*
std::vector<std::string> find_warnings(const RunConfig& config, const RunFacts& facts);

}  // namespace collimate
