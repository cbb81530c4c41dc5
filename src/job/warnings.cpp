#include "collimate/job/warnings.hpp"

#include <fmt/format.h>

namespace collimate {

namespace {

constexpr std::int64_t kFewPairs = 5000;
constexpr double kLowBeta = 0.1;
constexpr double kHighBeta = 1.0;
constexpr double kLowLearningRate = 5e-7;
constexpr double kHighLearningRate = 5e-5;
constexpr double kManyEpochs = 3;

using Warnings = std::vector<std::string>;

void warn_of_few_pairs(const RunFacts& facts, Warnings& warnings) {
  if (facts.num_train_pairs >= kFewPairs) return;
  warnings.push_back(
      fmt::format("data.train: {} pairs, fewer than {}: a preference loss soon learns so few by heart, and its "
                  "accuracy in training no "
                  "longer tells anything about other pairs",
                  facts.num_train_pairs, kFewPairs));
}

void warn_of_beta(const ObjectiveConfig& objective, Warnings& warnings) {
  if (objective.beta < kLowBeta) {
    warnings.push_back(
        fmt::format("objective.beta: {} is below {}: the tie to the reference is weak, so the policy may drift far "
                    "from it and its text "
                    "degrade",
                    objective.beta, kLowBeta));
  } else if (objective.beta > kHighBeta) {
    warnings.push_back(
        fmt::format("objective.beta: {} is above {}: the tie to the reference is so strong that the policy hardly "
                    "moves before the loss "
                    "saturates",
                    objective.beta, kHighBeta));
  }
}

void warn_of_learning_rate(const OptimizerConfig& optimizer, Warnings& warnings) {
  if (optimizer.learning_rate < kLowLearningRate) {
    warnings.push_back(
        fmt::format("optimizer.learning_rate: {} is below {}: within an epoch or two margins may hardly grow; "
                    "published runs go lower only "
                    "for models of 30B parameters and more",
                    optimizer.learning_rate, kLowLearningRate));
  } else if (optimizer.learning_rate > kHighLearningRate) {
    warnings.push_back(
        fmt::format("optimizer.learning_rate: {} is above {}: steps this large tend to lower the probability of chosen "
                    "responses together "
                    "with the rejected ones; published full fine-tuning mostly uses 5e-7 to 5e-6",
                    optimizer.learning_rate, kHighLearningRate));
  }
}

/// max_steps prevails over num_train_epochs.
void warn_of_epochs(const RunConfig& config, const RunFacts& facts, Warnings& warnings) {
  const bool has_max_steps = config.train.max_steps >= 0 && facts.num_pairs_per_epoch > 0;
  const double num_pairs =
      static_cast<double>(config.train.max_steps) * static_cast<double>(config.batch.global_batch_size);
  const double epochs =
      has_max_steps ? num_pairs / static_cast<double>(facts.num_pairs_per_epoch) : config.train.num_train_epochs;
  if (epochs <= kManyEpochs) return;
  const std::string cause = has_max_steps ? fmt::format("train.max_steps: {} steps are", config.train.max_steps)
                                          : std::string("train.num_train_epochs:");
  warnings.push_back(fmt::format(
      "{} {:.3g} epochs, more than {}: pairs seen this often are learnt by heart; published runs take 1 to 3", cause,
      epochs, kManyEpochs));
}

void warn_of_evaluation(const RunFacts& facts, Warnings& warnings) {
  if (!facts.has_evaluation) {
    warnings.emplace_back(
        "data.eval: no evaluation set: over-fitting cannot be seen, since the loss in training falls either way");
  } else if (facts.num_eval_pairs_in_training > 0) {
    warnings.push_back(
        fmt::format("data.eval: {} evaluation pairs also stand in data.train: evaluation will look better than it is "
                    "on unseen pairs",
                    facts.num_eval_pairs_in_training));
  }
}

}  // namespace

std::vector<std::string> find_warnings(const RunConfig& config, const RunFacts& facts) {
  Warnings warnings;
  if (facts.uses_preference_loss) {
    warn_of_few_pairs(facts, warnings);
    warn_of_beta(config.objective, warnings);
    warn_of_learning_rate(config.optimizer, warnings);
    warn_of_epochs(config, facts, warnings);
  }
  warn_of_evaluation(facts, warnings);
  return warnings;
}

}  // namespace collimate
