#include "collimate/job/warnings.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/job/run_text.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr RunFacts kUsual{.num_train_pairs = 5000,
                          .num_pairs_per_epoch = 6400,
                          .has_evaluation = true,
                          .num_eval_pairs_in_training = 0,
                          .uses_preference_loss = true};

TEST(WarningsTest, a_usual_run_has_none) { EXPECT_THAT(find_warnings(load_dpo(), kUsual), IsEmpty()); }

TEST(WarningsTest, the_ends_of_the_usual_ranges_have_none) {
  for (const char* value : {"objective.beta=0.1", "objective.beta=1.0", "optimizer.learning_rate=5e-7",
                            "optimizer.learning_rate=5e-5", "train.num_train_epochs=3", "train.max_steps=600"}) {
    EXPECT_THAT(find_warnings(load_dpo({value}), kUsual), IsEmpty()) << value;
  }
}

TEST(WarningsTest, each_tells_key_value_and_reason) {
  RunFacts facts = kUsual;
  facts.num_train_pairs = 4999;
  facts.has_evaluation = false;
  EXPECT_THAT(
      find_warnings(load_dpo({"objective.beta=0.05", "optimizer.learning_rate=4e-7", "train.num_train_epochs=3.5"}),
                    facts),
      ElementsAre(
          "data.train: 4999 pairs, fewer than 5000: a preference loss soon learns so few by heart, and its accuracy "
          "in training no longer tells anything about other pairs",
          "objective.beta: 0.05 is below 0.1: the tie to the reference is weak, so the policy may drift far from "
          "it and its text degrade",
          "optimizer.learning_rate: 4e-07 is below 5e-07: within an epoch or two margins may hardly grow; published "
          "runs go lower only for models of 30B parameters and more",
          "train.num_train_epochs: 3.5 epochs, more than 3: pairs seen this often are learnt by heart; published "
          "runs take 1 to 3",
          "data.eval: no evaluation set: over-fitting cannot be seen, since the loss in training falls either way"));
}

TEST(WarningsTest, the_upper_ends_have_reasons_of_their_own) {
  EXPECT_THAT(
      find_warnings(load_dpo({"objective.beta=2", "optimizer.learning_rate=1e-4"}), kUsual),
      ElementsAre(
          "objective.beta: 2 is above 1: the tie to the reference is so strong that the policy hardly moves before "
          "the loss saturates",
          "optimizer.learning_rate: 0.0001 is above 5e-05: steps this large tend to lower the probability of chosen "
          "responses together with the rejected ones; published full fine-tuning mostly uses 5e-7 to 5e-6"));
}

TEST(WarningsTest, max_steps_prevails_when_epochs_are_counted) {
  EXPECT_THAT(find_warnings(load_dpo({"train.max_steps=602"}), kUsual),
              ElementsAre(StartsWith("train.max_steps: 602 steps are 3.01 epochs, more than 3")));
  EXPECT_THAT(find_warnings(load_dpo({"train.max_steps=10", "train.num_train_epochs=9"}), kUsual), IsEmpty());
}

TEST(WarningsTest, evaluation_pairs_in_training_are_counted) {
  RunFacts facts = kUsual;
  facts.num_eval_pairs_in_training = 12;
  EXPECT_THAT(
      find_warnings(load_dpo(), facts),
      ElementsAre("data.eval: 12 evaluation pairs also stand in data.train: evaluation will look better than it is "
                  "on unseen pairs"));
}

TEST(WarningsTest, without_a_preference_loss_only_evaluation_is_of_concern) {
  const RunConfig config =
      load_dpo({"objective.loss_type=sft", "optimizer.learning_rate=1e-3", "train.num_train_epochs=9"});
  EXPECT_THAT(find_warnings(config, {.num_train_pairs = 3, .num_pairs_per_epoch = 3}),
              ElementsAre(StartsWith("data.eval: no evaluation set")));
}

}  // namespace
}  // namespace collimate
