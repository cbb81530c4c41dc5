#include "collimate/job/run_config.hpp"

#include <map>
#include <set>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/job/run_text.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(RunConfigTest, the_smallest_file_takes_all_defaults) {
  RunConfig expected;
  expected.model.path = "models/sft";
  expected.reference.store = "out/reference.h5";
  expected.data.train = {{.path = "data/train.h5"}};
  expected.output.directory = "out/run";
  EXPECT_EQ(load_dpo(), expected);
}

TEST(RunConfigTest, what_a_file_must_give_is_told_at_once) {
  EXPECT_EQ(
      message_of("train: {seed: 3}\n"),
      "run.yaml:1:1: data.train: missing; expected a list\n"
      "run.yaml:1:1: output.directory: missing; expected a path\n"
      "run.yaml:1:1: model.path: missing; expected a Hugging Face folder here, or a config.json at model.config\n"
      "run.yaml:1:1: reference.store: missing; expected the path of the reference store, which loss_type: sigmoid "
      "needs");
}

TEST(RunConfigTest, keys_in_wrong_sections_are_sent_to_the_right_one) {
  EXPECT_EQ(message_of(kDpoText + "train: {learning_rate: 1.0e-6}\n"),
            "run.yaml:5:9: train.learning_rate: unknown key (did you mean optimizer.learning_rate?)");
  EXPECT_EQ(message_of(kDpoText + "parallel: {microbatch_tokens: 2}\n"),
            "run.yaml:5:12: parallel.microbatch_tokens: unknown key (did you mean reference.microbatch_tokens or "
            "batch.microbatch_tokens?)");
}

/// What --set may say for each field: a value that is not the default and fits with the others.
const std::map<std::string, std::string> kOtherValues = {
    {"model.path", "elsewhere"},
    {"model.config", "null"},
    {"model.initialize", "none"},
    {"model.init_seed", "0"},
    {"model.dtype", "float64"},
    {"model.recompute", "full"},
    {"reference.path", "models/other"},
    {"reference.store", "other.h5"},
    {"reference.dtype", "float64"},
    {"reference.score", "at_start"},
    {"reference.placement", "offloaded"},
    {"reference.block_pairs", "32"},
    {"reference.microbatch_tokens", "512"},
    {"reference.per_token", "true"},
    {"data.train", "[a.h5, b.h5]"},
    {"data.train.0.path", "other.h5"},
    {"data.train.0.repeat", "2.5"},
    {"data.eval", "[{path: eval.h5}, eval2.h5]"},
    {"data.eval.0.path", "other.h5"},
    {"data.eval.0.repeat", "1"},
    {"data.shuffle", "false"},
    {"data.min_confidence", "0.25"},
    {"parallel.data", "4"},
    {"parallel.pipeline", "4"},
    {"parallel.tensor", "2"},
    {"parallel.sequence_parallel", "false"},
    {"parallel.schedule", "gpipe"},
    {"parallel.virtual_stages", "1"},
    {"parallel.layers_per_stage", "[32]"},
    {"parallel.zero_stage", "0"},
    {"batch.global_batch_size", "128"},
    {"batch.eval_batch_size", "16"},
    {"batch.microbatch_tokens", "8192"},
    {"batch.prefix_sharing", "false"},
    {"objective.loss_type", "[sigmoid]"},
    {"objective.loss_weights", "2"},
    {"objective.beta", "0.3"},
    {"objective.label_smoothing", "0.1"},
    {"optimizer.learning_rate", "1e-6"},
    {"optimizer.lr_scheduler_type", "cosine"},
    {"optimizer.warmup_steps", "150"},
    {"optimizer.min_lr_rate", "0.1"},
    {"optimizer.weight_decay", "0.1"},
    {"optimizer.betas", "[0.9, 0.95]"},
    {"optimizer.epsilon", "1e-6"},
    {"optimizer.max_grad_norm", "0"},
    {"train.num_train_epochs", "0.5"},
    {"train.max_steps", "100"},
    {"train.eval_steps", "50"},
    {"train.metric_for_best_model", "eval_rewards/accuracies"},
    {"train.early_stopping", "null"},
    {"train.early_stopping.patience", "5"},
    {"train.early_stopping.threshold", "0.01"},
    {"train.deterministic", "false"},
    {"train.seed", "18446744073709551615"},
    {"checkpoint.save_steps", "10"},
    {"checkpoint.save_total_limit", "1"},
    {"checkpoint.keep_every", "1000"},
    {"checkpoint.asynchronous", "false"},
    {"checkpoint.buffer_bytes", "1000"},
    {"runtime.device", "cpu"},
    {"runtime.backend", "mpi"},
    {"runtime.interface", "ib0"},
    {"runtime.watchdog_seconds", "null"},
    {"runtime.grace_seconds", "30"},
    {"runtime.check_level", "full"},
    {"runtime.trace", "traces"},
    {"runtime.memory_bytes", "80000000000"},
    {"runtime.peak_flops", "1.0e+15"},
    {"output.directory", "out/other"},
};

/// What makes every field there to be set.
const std::vector<std::string> kGiven = {"data.eval=eval.h5", "train.early_stopping={}"};

RunConfig load_other(const std::string& key, const std::string& value) {
  return load_dpo({kGiven[0], kGiven[1], fmt::format("{}={}", key, value)});
}

TEST(RunConfigTest, every_field_can_be_set_and_reads_back) {
  std::vector<std::string> known;
  for (const auto& [key, value] : kOtherValues) known.push_back(key);
  EXPECT_THAT(list_keys<RunConfig>(), ::testing::UnorderedElementsAreArray(known));
  for (const auto& [key, value] : kOtherValues) {
    const RunConfig config = load_other(key, value);
    EXPECT_EQ(load_run_config(dump_canonical(config), "canonical"), config) << key;
  }
}

TEST(RunConfigTest, a_field_that_is_set_is_the_only_one_that_changes) {
  const std::set<std::string> same = {"model.config",
                                      "model.initialize",
                                      "model.init_seed",
                                      "objective.loss_type",
                                      "optimizer.min_lr_rate",
                                      "data.eval.0.repeat",
                                      "parallel.virtual_stages",
                                      "runtime.device",
                                      "data.train",
                                      "data.eval"};
  const RunConfig base = load_dpo(kGiven);
  for (const auto& [key, value] : kOtherValues) {
    if (same.contains(key)) continue;
    const auto differences = compare(base, load_other(key, value));
    ASSERT_EQ(differences.size(), 1) << key;
    EXPECT_EQ(differences[0].key_path, key);
  }
}

TEST(RunConfigTest, every_field_has_the_role_that_resuming_depends_on) {
  std::map<Role, std::vector<std::string>> keys;
  for (const FieldValue& value : list_fields(load_dpo(kGiven))) keys[value.role].push_back(value.key_path);
  EXPECT_THAT(keys[Role::kIdentity],
              ElementsAre("model.initialize", "model.init_seed", "model.dtype", "reference.dtype", "data.train",
                          "data.train.0.repeat", "data.shuffle", "data.min_confidence", "batch.global_batch_size",
                          "objective.loss_type", "objective.loss_weights", "objective.beta",
                          "objective.label_smoothing", "optimizer.weight_decay", "optimizer.betas", "optimizer.epsilon",
                          "optimizer.max_grad_norm", "train.seed"));
  EXPECT_THAT(keys[Role::kSchedule],
              ElementsAre("data.eval", "data.eval.0.repeat", "optimizer.learning_rate", "optimizer.lr_scheduler_type",
                          "optimizer.warmup_steps", "optimizer.min_lr_rate", "train.num_train_epochs",
                          "train.max_steps", "train.eval_steps", "train.metric_for_best_model", "train.early_stopping",
                          "train.early_stopping.patience", "train.early_stopping.threshold"));
  EXPECT_THAT(keys[Role::kLayout],
              ElementsAre("model.recompute", "parallel.data", "parallel.pipeline", "parallel.tensor",
                          "parallel.sequence_parallel", "parallel.schedule", "parallel.virtual_stages",
                          "parallel.layers_per_stage", "parallel.zero_stage", "batch.eval_batch_size",
                          "batch.microbatch_tokens", "batch.prefix_sharing", "runtime.device", "runtime.backend"));
  EXPECT_THAT(keys[Role::kOperational],
              ElementsAre("model.path", "model.config", "reference.path", "reference.store", "reference.score",
                          "reference.placement", "reference.block_pairs", "reference.microbatch_tokens",
                          "reference.per_token", "data.train.0.path", "data.eval.0.path", "train.deterministic",
                          "checkpoint.save_steps", "checkpoint.save_total_limit", "checkpoint.keep_every",
                          "checkpoint.asynchronous", "checkpoint.buffer_bytes", "runtime.interface",
                          "runtime.watchdog_seconds", "runtime.grace_seconds", "runtime.check_level", "runtime.trace",
                          "runtime.memory_bytes", "runtime.peak_flops", "output.directory"));
}

TEST(RunConfigTest, the_canonical_text_reads_back_as_the_same) {
  const RunConfig config = load_dpo({"objective.loss_type=[sft, sigmoid]", "objective.loss_weights=[0.2, 1]",
                                     "optimizer.learning_rate=3e-7", "data.eval=[eval.h5, \"other eval.h5\"]"});
  const std::string text = dump_canonical(config);
  EXPECT_EQ(load_run_config(text, "canonical"), config);
  EXPECT_EQ(dump_canonical(load_run_config(text, "canonical")), text);
}

/// layers_per_stage as read from the value, with as many stages as it has numbers.
std::optional<std::vector<int>> layers_per_stage(const std::string& value, int num_stages) {
  const RunConfig config =
      load_dpo({"parallel.layers_per_stage=" + value, fmt::format("parallel.pipeline={}", num_stages)});
  EXPECT_EQ(load_run_config(dump_canonical(config), "canonical"), config) << value;
  return config.parallel.layers_per_stage;
}

TEST(RunConfigTest, layers_per_stage_is_auto_or_a_list_or_a_number_alone) {
  EXPECT_EQ(layers_per_stage("auto", 2), std::nullopt);
  EXPECT_EQ(layers_per_stage("[1, 2]", 2), (std::vector{1, 2}));
  EXPECT_EQ(layers_per_stage("3", 1), std::vector{3});
  EXPECT_EQ(load_dpo().parallel.layers_per_stage, std::nullopt);
}

TEST(RunConfigTest, a_list_can_go_back_to_auto_and_change_by_element) {
  const std::string text = kDpoText + "parallel: {pipeline: 2, layers_per_stage: [1, 2]}\n";
  const auto overridden = [&](const std::string& change) {
    return load_run_config(text, "run.yaml", std::vector{change}).parallel.layers_per_stage;
  };
  EXPECT_EQ(overridden("parallel.layers_per_stage=auto"), std::nullopt);
  EXPECT_EQ(overridden("parallel.layers_per_stage.1=5"), (std::vector{1, 5}));
  EXPECT_EQ(message_of(text, {"parallel.layers_per_stage.2=5"}),
            "--set parallel.layers_per_stage.2=5: parallel.layers_per_stage.2: expected an index from 0 to 1, got 2");
}

TEST(RunConfigTest, a_wrong_element_of_layers_per_stage_is_named) {
  const auto message = [](const std::string& value) {
    return message_of(kDpoText + "parallel: {pipeline: 2, layers_per_stage: " + value + "}\n");
  };
  EXPECT_EQ(message("[1, x]"),
            "run.yaml:5:47: parallel.layers_per_stage.1: expected a whole number, at least 1, got x");
  EXPECT_EQ(message("[0, 1]"),
            "run.yaml:5:44: parallel.layers_per_stage.0: expected a whole number, at least 1, got 0");
  EXPECT_EQ(message("[1, auto]"),
            "run.yaml:5:47: parallel.layers_per_stage.1: expected a whole number, at least 1, got auto");
  EXPECT_EQ(message("automatic"),
            "run.yaml:5:43: parallel.layers_per_stage: expected a whole number, at least 1, or auto, got automatic");
  EXPECT_EQ(message("\"auto\""),
            "run.yaml:5:43: parallel.layers_per_stage: expected a whole number, at least 1, or auto, got \"auto\"");
  EXPECT_EQ(message("null"), "run.yaml:5:43: parallel.layers_per_stage: expected a list, or auto, got null");
  EXPECT_EQ(message("{a: 1}"), "run.yaml:5:43: parallel.layers_per_stage: expected a list, or auto, got a map");
}

TEST(RunConfigTest, all_paths_become_absolute) {
  const RunConfig config =
      with_absolute_paths(load_dpo({"reference.path=../sft", "data.eval=/data/eval.h5"}), "/base/run");
  EXPECT_EQ(config.model.path, "/base/run/models/sft");
  EXPECT_FALSE(config.model.config);
  EXPECT_EQ(config.reference.path, "/base/sft");
  EXPECT_EQ(config.reference.store, "/base/run/out/reference.h5");
  EXPECT_EQ(config.data.train[0].path, "/base/run/data/train.h5");
  EXPECT_EQ(config.data.eval[0].path, "/data/eval.h5");
  EXPECT_EQ(config.output.directory, "/base/run/out/run");
}

TEST(RunConfigTest, identity_does_not_depend_on_where_how_long_or_on_how_many_ranks) {
  const RunConfig base = load_dpo();
  EXPECT_EQ(identity_hash(base),
            identity_hash(load_dpo({"output.directory=x", "train.max_steps=3", "parallel.data=2", "parallel.pipeline=2",
                                    "model.path=moved", "data.eval=eval.h5"})));
  EXPECT_NE(identity_hash(base), identity_hash(load_dpo({"train.seed=18"})));
  EXPECT_NE(identity_hash(base), identity_hash(load_dpo({"objective.beta=0.2"})));
  EXPECT_NE(identity_hash(base), identity_hash(load_dpo({"data.train=[a.h5, b.h5]"})));
  EXPECT_THAT(compare(base, base), IsEmpty());
}

}  // namespace
}  // namespace collimate
