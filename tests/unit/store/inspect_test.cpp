#include "collimate/store/inspect.hpp"

#include <filesystem>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

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
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// The keys of a description and of the objects in it, with what stands before them.
void collect_keys(const nlohmann::ordered_json& json, const std::string& before, std::vector<std::string>& keys) {
  for (const auto& [key, value] : json.items()) {
    if (!json.is_array()) keys.push_back(before + key);
    if (value.is_structured()) collect_keys(value, json.is_array() ? before : before + key + ".", keys);
  }
}

class InspectTest : public ::testing::Test {
 protected:
  [[nodiscard]] static nlohmann::ordered_json as_json(const std::string& path,
                                                      InspectDepth depth = InspectDepth::kSummary) {
    return nlohmann::ordered_json::parse(inspect_path(path, depth, InspectForm::kJson));
  }
  /// The object has everything that the table has, fingerprints last in both.
  void expect_same_in_both(const std::string& path) const {
    for (const InspectDepth depth : {InspectDepth::kSummary, InspectDepth::kVerify}) {
      const nlohmann::ordered_json json = as_json(path, depth);
      EXPECT_EQ(json.at("path"), path);
      EXPECT_EQ(json.at("verified"), depth == InspectDepth::kVerify);
      EXPECT_EQ(std::prev(json.end()).key(), json.contains("fingerprints") ? "fingerprints" : "verified");
      std::vector<std::string> keys;
      collect_keys(json, "", keys);
      const std::string table = inspect_path(path, depth);
      for (const std::string& key : keys) {
        if (key == "kind" || key == "path") continue;
        EXPECT_THAT(table, HasSubstr(key.substr(key.rfind('.') + 1))) << key;
      }
    }
  }
  template <class Matcher>
  void expect_damage(const std::string& path, const Matcher& message) const {
    for (const InspectForm form : {InspectForm::kTable, InspectForm::kJson}) {
      EXPECT_THAT([&] { (void)inspect_path(path, InspectDepth::kVerify, form); }, throws<InputError>(message));
    }
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path() / "thing";
};

TEST_F(InspectTest, tells_a_preference_file) {
  write_preference_file(path_, preference_content({{{1, 2}, {3}, {4, 5}}, {{6}, {7}, {8}}}));
  const auto json = as_json(path_);
  const std::string tokenizer = json.at("fingerprints").at("tokenizer");
  const std::string chat_template = json.at("fingerprints").at("chat_template");
  expect_same_in_both(path_);
  EXPECT_EQ(json.at("kind"), "preference file");
  EXPECT_EQ(json.at("tokens"), 8);
  EXPECT_EQ(json.at("labelled_tokens"), 5);
  const std::string table = inspect_path(path_, InspectDepth::kSummary);
  EXPECT_THAT(table, StartsWith("preference file " + path_ + "\n  pairs             2\n  tokens            8\n"));
  EXPECT_THAT(table, EndsWith("  verified          no\n  fingerprints\n    tokenizer      " + tokenizer +
                              "\n    chat_template  " + chat_template + "\n"));
}

TEST_F(InspectTest, finds_a_token_that_was_changed) {
  auto content = preference_content({{{1, 2}, {3}, {4, 5}}});
  content.tokens[0] = 9;
  write_preference_file(path_, content);
  EXPECT_EQ(as_json(path_).at("pairs"), 1);
  expect_damage(path_, HasSubstr(path_));
}

TEST_F(InspectTest, tells_a_reference_store) {
  const ReferenceRow row{.pair_id = hash_text("a"), .num_chosen_tokens = 1, .num_rejected_tokens = 1};
  ReferenceStore({.weights_fingerprint = "weights hash"}, {row}, {.microbatch_tokens = 4096, .block_pairs = 256})
      .write(path_);
  expect_same_in_both(path_);
  const auto json = as_json(path_);
  EXPECT_EQ(json.at("kind"), "reference store");
  EXPECT_EQ(json.at("pairs"), 1);
  EXPECT_EQ(json.at("dtype"), "float32");
  EXPECT_EQ(json.at("per_token"), false);
  EXPECT_EQ(json.at("fingerprints").at("weights"), "weights hash");
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
  const auto chosen = as_json(path_).at("chosen_logps_by_token");
  EXPECT_EQ(chosen.at("mean"), -3.0);
  EXPECT_EQ(chosen.at("ranges").size(), 10);
  EXPECT_EQ(chosen.at("ranges").front(), nlohmann::ordered_json({{"from", -6.0}, {"count", 2}}));
  EXPECT_FALSE(as_json(path_).at("rejected_logps_by_token").contains("ranges"));
  const std::string table = inspect_path(path_, InspectDepth::kSummary);
  EXPECT_THAT(table, HasSubstr("  chosen_logps_by_token\n    mean      -3\n    least     -6\n    greatest  -2\n"));
  EXPECT_THAT(table, HasSubstr("    ranges\n      from  count\n        -6      2  ##############\n"));
  EXPECT_THAT(table, HasSubstr("      -2.4      6  " + std::string(40, '#') + "\n"));
}

TEST_F(InspectTest, tells_a_model_folder) {
  write_model_folder(path_, tiny_config(), tiny_tensors(tiny_config()));
  expect_same_in_both(path_);
  expect_same_in_both(path_ + "/model.safetensors");
  EXPECT_EQ(as_json(path_).at("architecture"), "LlamaForCausalLM");
  EXPECT_EQ(as_json(path_).at("tensors"), 21);
  EXPECT_FALSE(as_json(path_).at("fingerprints").contains("weights"));
  EXPECT_TRUE(as_json(path_, InspectDepth::kVerify).at("fingerprints").contains("weights"));
  EXPECT_EQ(as_json(path_ + "/model.safetensors").at("kind"), "safetensors file");
}

TEST_F(InspectTest, tells_checkpoints_and_finds_their_damage) {
  const CheckpointStore store(path_, 3);
  const std::string step = save_checkpoint(store, sample_state(5), sample_pieces(5), *solo_group());
  expect_same_in_both(step);
  expect_same_in_both(path_);
  EXPECT_EQ(as_json(step).at("step"), 5);
  EXPECT_EQ(as_json(step).at("trainer_state").at("num_pairs_seen"), 160);
  EXPECT_EQ(as_json(step).at("fingerprints"), nlohmann::json({{"data", "d"}, {"weights", "w"}}));
  EXPECT_EQ(as_json(path_).at("latest"), "step_00000005");
  EXPECT_TRUE(as_json(path_).at("best").is_null());
  EXPECT_EQ(as_json(path_).at("steps").at(0).at("step"), 5);
  flip_byte(step + "/rank_00000.safetensors", 200);
  EXPECT_EQ(as_json(step).at("step"), 5);
  expect_damage(step, HasSubstr("rank_00000.safetensors: bytes 0"));
  expect_damage(path_, HasSubstr("rank_00000.safetensors: bytes 0"));
}

TEST_F(InspectTest, tells_a_run_by_its_metrics_and_checkpoints) {
  fs::create_directory(path_);
  save_checkpoint({path_ + "/checkpoints", 3}, sample_state(5), sample_pieces(5), *solo_group());
  write_bytes(path_ + "/metrics.jsonl", "{\"step\": 1, \"loss\": 0.7}\n{\"step\": 2, \"loss\": 0.6}\n");
  write_bytes(path_ + "/run.json", "{\"version\": \"0.1.0\", \"fingerprints\": {\"train_data\": \"d\"}}");
  expect_same_in_both(path_);
  const auto json = as_json(path_);
  EXPECT_EQ(json.at("record"), nlohmann::json({{"version", "0.1.0"}}));
  EXPECT_EQ(json.at("metrics").at("lines"), 2);
  EXPECT_EQ(json.at("metrics").at("last").at("loss"), 0.6);
  EXPECT_EQ(json.at("checkpoints").at("steps").at(0).at("step"), 5);
  EXPECT_THAT(inspect_path(path_, InspectDepth::kSummary), EndsWith("\n  fingerprints\n    train_data  d\n"));
  write_bytes(path_ + "/metrics.jsonl", "{\"step\": 1}\n{\"ste\n");
  expect_damage(path_, HasSubstr("metrics.jsonl: line 2"));
}

TEST_F(InspectTest, a_link_that_leads_nowhere_points_to_no_checkpoint) {
  fs::create_directory(path_);
  save_checkpoint({path_ + "/checkpoints", 3}, sample_state(5), sample_pieces(5), *solo_group());
  const fs::path best = path_ + "/checkpoints/best";
  for (const std::string& target : {std::string("best"), std::string(200, 'n') + "/" + std::string(300, 'n')}) {
    fs::remove(best);
    fs::create_symlink(target, best);
    const auto checkpoints = as_json(path_).at("checkpoints");
    EXPECT_EQ(checkpoints.at("latest"), "step_00000005");
    EXPECT_TRUE(checkpoints.at("best").is_null());
  }
}

TEST_F(InspectTest, log_probs_at_the_ends_of_float64_are_told_without_ranges) {
  const ReferenceRow row{.chosen_logps = 1.7e308, .num_chosen_tokens = 1, .num_rejected_tokens = 1};
  ReferenceRow other = row;
  other.pair_id.low = 1;
  other.chosen_logps = -1.7e308;
  ReferenceStore({}, {row, other}, {.microbatch_tokens = 4096, .block_pairs = 256}).write(path_);
  const auto json = as_json(path_);
  EXPECT_EQ(json.at("chosen_logps_by_token").at("greatest"), 1.7e308);
  EXPECT_FALSE(json.at("chosen_logps_by_token").contains("ranges"));
}

TEST_F(InspectTest, tells_where_a_job_hung) {
  std::filesystem::create_directories(path_ + "/failures");
  write_bytes(path_ + "/failures/rank_00000.txt", "thread 1");
  write_bytes(path_ + "/failures/rank_00001.txt", "thread 1");
  expect_same_in_both(path_);
  EXPECT_EQ(as_json(path_).at("failures").at("ranks_of_a_job_that_hung"), 2);
  std::filesystem::remove_all(path_ + "/failures");
  write_bytes(path_ + "/failures", "no folder");
  EXPECT_EQ(as_json(path_).at("failures").at("ranks_of_a_job_that_hung"), 0);
}

TEST_F(InspectTest, gives_json_of_a_text_that_is_no_utf8) {
  auto content = preference_content({{{1, 2}, {3}, {4, 5}}});
  content.source_names = {"a\xff\x1b[31m"};
  write_preference_file(path_, content);
  EXPECT_EQ(as_json(path_).at("sources").at(0), "a\xef\xbf\xbd\x1b[31m");
  EXPECT_THAT(inspect_path(path_, InspectDepth::kSummary, InspectForm::kJson), Not(HasSubstr("\x1b")));
}

TEST_F(InspectTest, a_text_of_a_file_stays_in_its_line) {
  auto content = preference_content({{{1, 2}, {3}, {4, 5}}});
  content.source_names = {"a\n  verified          yes\tb"};
  write_preference_file(path_, content);
  EXPECT_THAT(inspect_path(path_, InspectDepth::kSummary), HasSubstr("  a\\n  verified          yes\\tb\n"));
}

TEST_F(InspectTest, one_long_text_makes_no_other_row_long) {
  constexpr std::size_t kLong = 100'000;
  fs::create_directories(path_ + "/checkpoints");
  nlohmann::json rows(2000, nlohmann::json::object({{"a", "short"}}));
  rows[0]["a"] = std::string(kLong, 'l');
  write_bytes(path_ + "/run.json", nlohmann::json{{"rows", rows}, {std::string(kLong, 'k'), 1}, {"b", 2}}.dump());
  const std::string table = inspect_path(path_, InspectDepth::kSummary);
  EXPECT_THAT(table, HasSubstr(std::string(kLong, 'l')));
  EXPECT_LT(table.size(), 2 * kLong + 300'000);
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
