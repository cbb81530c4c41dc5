#include "collimate/store/inspect.hpp"

#include <filesystem>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "collimate/store/checkpoint_saver.hpp"
#include "collimate/store/reference_store.hpp"
#include "support/checkpoints.hpp"
#include "support/model_folder.hpp"
#include "support/preference_file.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class InspectTest : public ::testing::Test {
 protected:
  template <class Matcher>
  void expect_described(const std::string& path, const Matcher& text) const {
    EXPECT_THAT(inspect_path(path, InspectDepth::kSummary), text);
    EXPECT_THAT(inspect_path(path, InspectDepth::kVerify), AllOf(text, HasSubstr("every checksum holds")));
  }
  template <class Matcher>
  void expect_damage(const std::string& path, const Matcher& message) const {
    EXPECT_THAT([&] { (void)inspect_path(path, InspectDepth::kVerify); }, throws<InputError>(message));
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path() / "thing";
};

TEST_F(InspectTest, tells_a_preference_file) {
  write_preference_file(path_, preference_content({{{1, 2}, {3}, {4, 5}}, {{6}, {7}, {8}}}));
  expect_described(path_, AllOf(HasSubstr("preference file"), HasSubstr("2 pairs, 8 tokens, 5 of them labelled")));
}

TEST_F(InspectTest, finds_a_token_that_was_changed) {
  auto content = preference_content({{{1, 2}, {3}, {4, 5}}});
  content.tokens[0] = 9;
  write_preference_file(path_, content);
  EXPECT_THAT(inspect_path(path_, InspectDepth::kSummary), HasSubstr("1 pairs"));
  expect_damage(path_, HasSubstr(path_));
}

TEST_F(InspectTest, tells_a_reference_store) {
  const ReferenceRow row{.pair_id = hash_text("a"), .num_chosen_tokens = 1, .num_rejected_tokens = 1};
  ReferenceStore({.weights_fingerprint = "weights hash"}, {row}, {.microbatch_tokens = 4096, .block_pairs = 256})
      .write(path_);
  expect_described(
      path_, AllOf(HasSubstr("reference store"), HasSubstr("1 pairs, scored in float32"), HasSubstr("weights hash")));
}

TEST_F(InspectTest, shows_how_a_stores_log_probs_lie) {
  std::vector<ReferenceRow> rows;
  for (int i = 0; i < 8; ++i) {
    const double chosen = i < 6 ? -2.0 : -6.0;
    rows.push_back({.pair_id = hash_text(std::to_string(i)),
                    .chosen_logps = 4 * chosen,
                    .rejected_logps = -3.0,
                    .num_chosen_tokens = 4,
                    .num_rejected_tokens = 1});
  }
  ReferenceStore({}, rows, {.microbatch_tokens = 4096, .block_pairs = 256}).write(path_);
  const std::string bar(40, '#');
  expect_described(path_, AllOf(HasSubstr("log-prob a token of chosen\n    mean -3.000, from -6.000 to -2.000\n"),
                                HasSubstr("   -6.000         2  ##############\n   "),
                                HasSubstr("   -2.400         6  " + bar + "\n"),
                                HasSubstr("log-prob a token of rejected\n    mean -3.000, from -3.000 to -3.000\n")));
}

TEST_F(InspectTest, tells_a_model_folder) {
  write_model_folder(path_, tiny_config(), tiny_tensors(tiny_config()));
  expect_described(path_,
                   AllOf(HasSubstr("model folder"), HasSubstr("LlamaForCausalLM: 2 layers"), HasSubstr("21 tensors")));
  expect_described(path_ + "/model.safetensors", AllOf(HasSubstr("safetensors file"), HasSubstr("21 tensors")));
}

TEST_F(InspectTest, tells_checkpoints_and_finds_their_damage) {
  const CheckpointStore store(path_, 3);
  const std::string step = save_checkpoint(store, sample_state(5), sample_pieces(5), *solo_group());
  expect_described(step, AllOf(HasSubstr("checkpoint"), HasSubstr("step 5"), HasSubstr("\"num_pairs_seen\":160")));
  expect_described(path_, AllOf(HasSubstr("latest: step_00000005, best: none"), HasSubstr("step 5")));
  flip_byte(step + "/rank_00000.safetensors", 200);
  EXPECT_THAT(inspect_path(step, InspectDepth::kSummary), HasSubstr("step 5"));
  expect_damage(step, HasSubstr("rank_00000.safetensors: bytes 0"));
  expect_damage(path_, HasSubstr("rank_00000.safetensors: bytes 0"));
}

TEST_F(InspectTest, tells_a_run_by_its_metrics_and_checkpoints) {
  fs::create_directory(path_);
  save_checkpoint({path_ + "/checkpoints", 3}, sample_state(5), sample_pieces(5), *solo_group());
  write_bytes(path_ + "/metrics.jsonl", "{\"step\": 1, \"loss\": 0.7}\n{\"step\": 2, \"loss\": 0.6}\n");
  write_bytes(path_ + "/run.json", "{\"version\": \"0.1.0\"}");
  expect_described(path_, AllOf(HasSubstr("run "), HasSubstr("0.1.0"), HasSubstr("2 lines"), HasSubstr("\"loss\":0.6"),
                                HasSubstr("step 5")));
  write_bytes(path_ + "/metrics.jsonl", "{\"step\": 1}\n{\"ste\n");
  expect_damage(path_, HasSubstr("metrics.jsonl: line 2"));
}

TEST_F(InspectTest, tells_where_a_job_hung) {
  std::filesystem::create_directories(path_ + "/failures");
  write_bytes(path_ + "/failures/rank_00000.txt", "thread 1");
  write_bytes(path_ + "/failures/rank_00001.txt", "thread 1");
  expect_described(path_, AllOf(HasSubstr("run "), HasSubstr("where the threads of 2 ranks were when a job hung")));
}

TEST_F(InspectTest, says_that_something_is_none_of_ours) {
  EXPECT_THAT([&] { (void)inspect_path(path_, InspectDepth::kSummary); },
              throws<InputError>(HasSubstr("no such file")));
  write_bytes(path_, "text");
  expect_damage(path_, HasSubstr("is nothing that collimate writes"));
  Hdf5Writer foreign(path_);
  foreign.write_attribute("format", "theirs");
  foreign.commit();
  expect_damage(path_, HasSubstr("none of collimate's (attribute 'format': \"theirs\")"));
  expect_damage(folder_.path(), HasSubstr("is no run, checkpoint or model folder"));
}

}  // namespace
}  // namespace collimate
