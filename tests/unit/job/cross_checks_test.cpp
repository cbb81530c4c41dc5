#include "collimate/job/cross_checks.hpp"

#include <gtest/gtest.h>

#include "unit/job/run_text.hpp"

namespace collimate {
namespace {

struct Unfit {
  const char* description;
  std::string text;
  std::string message;
};

class CrossChecksTest : public ::testing::TestWithParam<Unfit> {};

TEST_P(CrossChecksTest, refuses_what_does_not_fit_at_its_key) {
  EXPECT_EQ(message_of(GetParam().text), GetParam().message);
}

/// The smallest configuration with another model section in line 1 and more sections from line 5 on.
std::string with(const std::string& more, const std::string& model = "{path: m}") {
  return "model: " + model + "\nreference: {store: r.h5}\ndata: {train: a.h5}\noutput: {directory: o}\n" + more;
}

INSTANTIATE_TEST_SUITE_P(
    Unfits, CrossChecksTest,
    ::testing::Values(
        Unfit{
            "no_model", with("", "{dtype: float32}"),
            "run.yaml:1:1: model.path: missing; expected a Hugging Face folder here, or a config.json at model.config"},
        Unfit{"two_models", with("", "{path: m, config: c.json, initialize: random}"),
              "run.yaml:1:15: model.path: expected either this or model.config, got both (m and c.json)"},
        Unfit{"config_without_weights", with("objective: {loss_type: sft}", "{config: c.json}"),
              "run.yaml:1:1: model.initialize: expected random with model.config, which brings no weights, got none"},
        Unfit{"random_over_weights", with("", "{path: m, initialize: random}"),
              "run.yaml:1:30: model.initialize: expected none with model.path, whose weights are loaded, got random"},
        Unfit{"seed_without_random", with("", "{path: m, init_seed: 3}"),
              "run.yaml:1:29: model.init_seed: expected initialize: random with a seed, got initialize: none and 3"},
        Unfit{"no_loss", with("objective: {loss_type: [], loss_weights: []}"),
              "run.yaml:5:24: objective.loss_type: expected at least one loss, got an empty list"},
        Unfit{"repeated_loss", with("objective: {loss_type: [sft, sigmoid, sft], loss_weights: [1, 1, 1]}"),
              "run.yaml:5:24: objective.loss_type: expected each loss once, got sft twice"},
        Unfit{"too_few_weights", with("objective:\n  loss_type: [sft, sigmoid]\n"),
              "run.yaml:5:1: objective.loss_weights: expected one weight for each loss_type (2), got 1"},
        Unfit{"too_many_weights", with("objective: {loss_weights: [1, 2]}"),
              "run.yaml:5:27: objective.loss_weights: expected one weight for each loss_type (1), got 2"},
        Unfit{"no_reference_for_random_weights", with("", "{config: c.json, initialize: random}"),
              "run.yaml:2:1: reference.path: missing; expected a Hugging Face folder, since model.config brings no "
              "weights "
              "to refer to"},
        Unfit{"beta_without_its_loss", with("objective: {loss_type: sft, beta: 0.2}"),
              "run.yaml:5:35: objective.beta: has no effect without loss_type: sigmoid; expected it left out, got 0.2"},
        Unfit{
            "label_smoothing_without_its_loss", with("objective: {loss_type: sft, label_smoothing: 0.2}"),
            "run.yaml:5:46: objective.label_smoothing: has no effect without loss_type: sigmoid; expected it left out, "
            "got 0.2"},
        Unfit{"gpu_backend_on_the_cpu", with("runtime: {backend: nccl}"),
              "run.yaml:5:20: runtime.backend: expected auto or mpi (or, slower, gloo) with runtime.device: cpu, got "
              "nccl"},
        Unfit{"cpu_backend_on_a_gpu", with("runtime: {backend: mpi, device: cuda}"),
              "run.yaml:5:20: runtime.backend: expected auto or nccl with runtime.device: cuda, got mpi"},
        Unfit{"repeated_evaluation",
              "model: {path: m}\nreference: {store: r.h5}\ndata: {train: a.h5, eval: [b.h5, {path: c.h5, repeat: "
              "2}]}\noutput: {directory: o}\n",
              "run.yaml:3:55: data.eval.1.repeat: expected 1, evaluation counts each pair once, got 2"},
        Unfit{"no_training_data",
              "model: {path: m}\nreference: {store: r.h5}\ndata: {train: []}\noutput: {directory: o}\n",
              "run.yaml:3:15: data.train: expected at least one preference file, got an empty list"},
        Unfit{"early_stopping_without_evaluation", with("train: {early_stopping: {patience: 2}}"),
              "run.yaml:5:9: train.early_stopping: counts evaluations, of which there are none without data.eval; "
              "expected preference files there, or null here"},
        Unfit{"one_beta", with("optimizer: {betas: 0.9}"),
              "run.yaml:5:20: optimizer.betas: expected two values, got 1"},
        Unfit{"three_betas", with("optimizer: {betas: [0.9, 0.9, 0.9]}"),
              "run.yaml:5:20: optimizer.betas: expected two values, got 3"},
        Unfit{"beta_of_one", with("optimizer: {betas: [0.9, 1.0]}"),
              "run.yaml:5:26: optimizer.betas.1: expected a number, at least 0 and below 1, got 1.0"},
        Unfit{
            "fraction_of_a_step", with("optimizer: {warmup_steps: 1.5}"),
            "run.yaml:5:27: optimizer.warmup_steps: expected a number, a ratio from 0 to below 1, or a whole number of "
            "steps, got 1.5"},
        Unfit{"warmup_of_a_constant_rate", with("optimizer: {warmup_steps: 10, lr_scheduler_type: constant}"),
              "run.yaml:5:27: optimizer.warmup_steps: has no effect with lr_scheduler_type: constant; expected "
              "constant_with_warmup, or it left out, got 10"},
        Unfit{"floor_of_a_rate_without_one", with("optimizer: {min_lr_rate: 0.2, lr_scheduler_type: cosine}"),
              "run.yaml:5:26: optimizer.min_lr_rate: has no effect with lr_scheduler_type: cosine; expected "
              "cosine_with_min_lr, or it left out, got 0.2"},
        Unfit{"two_stages_a_rank_of_1f1b", with("parallel: {virtual_stages: 2}"),
              "run.yaml:5:28: parallel.virtual_stages: expected 1 with schedule: 1f1b (interleaved takes any number), "
              "got 2"},
        Unfit{"one_stage_a_rank_of_zbv", with("parallel: {schedule: zbv}"),
              "run.yaml:5:1: parallel.virtual_stages: expected 2 with schedule: zbv (interleaved takes any number), "
              "got 1"},
        Unfit{"three_stages_a_rank_of_zb_h1", with("parallel: {schedule: zb_h1, virtual_stages: 3}"),
              "run.yaml:5:45: parallel.virtual_stages: expected 1 with schedule: zb_h1 (interleaved takes any number), "
              "got 3"},
        Unfit{"too_few_stages_in_the_list", with("parallel: {pipeline: 4, layers_per_stage: [1, 2]}"),
              "run.yaml:5:43: parallel.layers_per_stage: expected auto or one number for each of the 4 stages "
              "(pipeline x virtual_stages), got 2"},
        Unfit{"too_few_stages_for_interleaved",
              with("parallel: {pipeline: 2, schedule: interleaved, virtual_stages: 3, layers_per_stage: [4, 4]}"),
              "run.yaml:5:85: parallel.layers_per_stage: expected auto or one number for each of the 6 stages "
              "(pipeline x virtual_stages), got 2"},
        Unfit{"no_stage_in_the_list", with("parallel: {layers_per_stage: []}"),
              "run.yaml:5:30: parallel.layers_per_stage: expected auto or one number for each of the 1 stages "
              "(pipeline x virtual_stages), got 0"},
        Unfit{"floor_above_the_rate", with("optimizer: {min_lr_rate: 1.2, lr_scheduler_type: cosine_with_min_lr}"),
              "run.yaml:5:26: optimizer.min_lr_rate: expected a number, from 0 to 1, got 1.2"}),
    [](const auto& test) { return test.param.description; });

TEST(CrossChecksPairTest, a_loss_without_reference_needs_no_store) {
  const std::string text = "model: {path: m}\ndata: {train: a.h5}\noutput: {directory: o}\n";
  EXPECT_EQ(message_of(text, {"objective.loss_type=sft"}), "loaded");
  EXPECT_EQ(
      message_of(text, {"objective.loss_type=[sft, sigmoid]", "objective.loss_weights=[1, 1]"}),
      "run.yaml:1:1: reference.store: missing; expected the path of the reference store, which loss_type: sigmoid "
      "needs");
}

TEST(CrossChecksPairTest, random_weights_can_be_trained_with_another_model_as_reference) {
  EXPECT_EQ(message_of(with("", "{config: c.json, initialize: random, init_seed: 4}"), {"reference.path=r"}), "loaded");
}

TEST(CrossChecksPairTest, parameters_fit_the_schedules_that_use_them) {
  EXPECT_EQ(message_of(with(""), {"optimizer.lr_scheduler_type=constant"}), "loaded");
  EXPECT_EQ(message_of(with(""), {"optimizer.lr_scheduler_type=constant", "optimizer.warmup_steps=0"}), "loaded");
  EXPECT_EQ(message_of(with(""), {"optimizer.lr_scheduler_type=constant_with_warmup", "optimizer.warmup_steps=10"}),
            "loaded");
  EXPECT_EQ(message_of(with(""), {"optimizer.lr_scheduler_type=cosine_with_min_lr", "optimizer.min_lr_rate=0.2"}),
            "loaded");
}

TEST(CrossChecksPairTest, stages_fit_the_schedules_that_have_them) {
  EXPECT_EQ(message_of(with("parallel: {pipeline: 2, schedule: interleaved, layers_per_stage: [4, 4]}")), "loaded");
  EXPECT_EQ(message_of(with("parallel: {pipeline: 2, schedule: interleaved, virtual_stages: 3, layers_per_stage: "
                            "[1, 1, 1, 1, 1, 2]}")),
            "loaded");
  EXPECT_EQ(message_of(with("parallel: {pipeline: 2, schedule: zbv, virtual_stages: 2, layers_per_stage: "
                            "[1, 1, 1, 2]}")),
            "loaded");
  for (const char* schedule : {"gpipe", "1f1b", "zb_h1"}) {
    EXPECT_EQ(message_of(with("parallel: {pipeline: 2, layers_per_stage: [1, 2]}"),
                         {std::string("parallel.schedule=") + schedule}),
              "loaded");
  }
}

TEST(CrossChecksPairTest, a_wrong_number_of_stages_a_rank_says_nothing_of_the_list) {
  EXPECT_EQ(message_of(with("parallel: {pipeline: 2, virtual_stages: 2, layers_per_stage: [1, 1, 1]}")),
            "run.yaml:5:41: parallel.virtual_stages: expected 1 with schedule: 1f1b (interleaved takes any number), "
            "got 2");
}

TEST(CrossChecksPairTest, what_only_follows_from_another_finding_is_left_out) {
  EXPECT_EQ(message_of(with("objective: {loss_type: [sigmod, sft], loss_weights: 1}")),
            "run.yaml:5:25: objective.loss_type.0: expected one of sigmoid, sft, got sigmod (did you mean sigmoid?)");
  EXPECT_EQ(message_of(with("", "{path: 3}")), "run.yaml:1:15: model.path: expected a path, or null, got 3");
}

TEST(CrossChecksPairTest, an_override_that_does_not_fit_is_the_place) {
  EXPECT_EQ(message_of(with(""), {"optimizer.betas=[0.5]"}),
            "--set optimizer.betas=[0.5]: optimizer.betas: expected two values, got 1");
}

}  // namespace
}  // namespace collimate
