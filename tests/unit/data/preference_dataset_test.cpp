#include "collimate/data/preference_dataset.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/error.hpp"
#include "support/preference_file.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TestPair pair_with(std::uint32_t token, float label = 1.0F, float weight = 1.0F) {
  return {
      .prompt = {token}, .chosen = {token + 1}, .rejected = {token + 2, token + 3}, .label = label, .weight = weight};
}

class PreferenceDatasetTest : public ::testing::Test {
 protected:
  std::string write(const std::string& name, const PreferenceContent& content) const {
    const std::string path = (folder_.path() / name).string();
    write_preference_file(path, content);
    return path;
  }
  std::string write(const std::string& name, const std::vector<TestPair>& pairs) const {
    return write(name, preference_content(pairs));
  }

  static PreferenceDataset open(const std::vector<std::string>& paths, double min_confidence = 0.0) {
    std::vector<DataSource> sources;
    for (const std::string& path : paths) sources.push_back({.path = path});
    return {"data.train", sources, min_confidence};
  }

  TemporaryFolder folder_;
};

TEST_F(PreferenceDatasetTest, is_the_concatenation_of_its_sources) {
  const std::string a = write("a.h5", {pair_with(10, 0.5F), pair_with(20)});
  const std::string b = write("b.h5", {pair_with(30, 1.0F, 2.0F)});
  const std::vector<DataSource> sources{{.path = a, .repeat = 0.5}, {.path = b, .repeat = 3.0}};
  const PreferenceDataset dataset("data.train", sources, 0.0);
  ASSERT_EQ(dataset.size(), 3U);
  EXPECT_EQ(dataset.lengths(0), (PairLengths{1, 1, 2}));
  EXPECT_EQ(dataset.label(0), 0.5);
  EXPECT_EQ(dataset.weight(2), 2.0);
  EXPECT_EQ(dataset.pair_id(2), hash_pair({1, 1, 2}, std::vector<std::uint32_t>{30, 31, 32, 33}));
  EXPECT_THAT(dataset.source_sizes(), ElementsAre(SourceSize{2, 0.5}, SourceSize{1, 3.0}));
  EXPECT_EQ(dataset.num_tokens(), 12U);
  EXPECT_EQ(dataset.longest_sequence(), 3);
  EXPECT_EQ(dataset.num_filtered_pairs(), 0U);
  EXPECT_EQ(dataset.tokenization(), PreferenceContent{}.tokenization);
  EXPECT_EQ(dataset.describe_pair(1), a + ": pair 1");
  EXPECT_EQ(dataset.describe_pair(2), b + ": pair 0");
}

TEST_F(PreferenceDatasetTest, reads_pairs_in_the_order_asked_for) {
  const PreferenceDataset dataset =
      open({write("a.h5", {pair_with(10), pair_with(20)}), write("b.h5", {pair_with(30), pair_with(40)})});
  const auto pairs = dataset.read(std::vector<std::uint64_t>{3, 0, 2, 0});
  ASSERT_EQ(pairs.size(), 4U);
  EXPECT_THAT(pairs[0].tokens, ElementsAre(40, 41, 42, 43));
  EXPECT_EQ(pairs[0].pair_index, 3U);
  EXPECT_EQ(pairs[0].lengths, (PairLengths{1, 1, 2}));
  EXPECT_THAT(pairs[1].tokens, ElementsAre(10, 11, 12, 13));
  EXPECT_THAT(pairs[2].tokens, ElementsAre(30, 31, 32, 33));
  EXPECT_THAT(pairs[3].tokens, ElementsAre(10, 11, 12, 13));
}

TEST_F(PreferenceDatasetTest, its_sources_may_label_different_tokens) {
  TestPair some = pair_with(30);
  some.is_chosen_labelled = {1};
  some.is_rejected_labelled = {0, 1};
  const PreferenceDataset dataset =
      open({write("all.h5", {pair_with(10)}), write("assistant.h5", {some, pair_with(40)})});
  EXPECT_EQ(dataset.num_tokens(), 12U);
  EXPECT_EQ(dataset.num_labelled_tokens(), 8U);
  EXPECT_EQ(dataset.longest_sequence(), 3);
  const auto pairs = dataset.read(std::vector<std::uint64_t>{1, 0});
  EXPECT_EQ(pairs[0].pair_index, 1U);
  EXPECT_EQ(pairs[0].lengths, (PairLengths{1, 1, 2, 1, 1}));
  EXPECT_THAT(pairs[0].is_labelled, ElementsAre(0, 1, 0, 1));
  EXPECT_EQ(pairs[1].lengths, (PairLengths{1, 1, 2, 1, 2}));
  EXPECT_NO_THROW(dataset.scan_tokens(0, 3, 64));
}

TEST_F(PreferenceDatasetTest, leaves_out_pairs_of_little_confidence) {
  // Labels are float32: 0.9 is stored as 0.89999998 and has a confidence of 0.8 all the same.
  const std::string a = write("a.h5", {pair_with(10, 0.6F), pair_with(20, 0.9F), pair_with(30, 0.1F)});
  const std::string b = write("b.h5", {pair_with(40, 0.5F)});
  const std::string c = write("c.h5", {pair_with(50, 0.89F), pair_with(60, 0.0F)});
  const PreferenceDataset dataset = open({a, b, c}, 0.8);
  ASSERT_EQ(dataset.size(), 3U);
  EXPECT_EQ(dataset.num_filtered_pairs(), 3U);
  EXPECT_THAT(dataset.source_sizes(), ElementsAre(SourceSize{2, 1.0}, SourceSize{0, 1.0}, SourceSize{1, 1.0}));
  EXPECT_THAT(dataset.read(0).tokens, ElementsAre(20, 21, 22, 23));
  EXPECT_THAT(dataset.read(1).tokens, ElementsAre(30, 31, 32, 33));
  EXPECT_THAT(dataset.read(2).tokens, ElementsAre(60, 61, 62, 63));
  EXPECT_EQ(dataset.describe_pair(2), c + ": pair 1");
}

TEST_F(PreferenceDatasetTest, refuses_a_confidence_that_leaves_no_pairs) {
  const std::string path = write("a.h5", {pair_with(10, 0.6F), pair_with(20, 0.4F)});
  EXPECT_THAT(
      [&] { (void)open({path}, 0.5); },
      throws<InputError>(AllOf(HasSubstr("data.train"), HasSubstr("min_confidence 0.5"), HasSubstr("2 pairs"))));
}

TEST_F(PreferenceDatasetTest, refuses_a_list_without_files) {
  EXPECT_THAT([] { (void)open({}); }, throws<InputError>(HasSubstr("data.train")));
}

TEST_F(PreferenceDatasetTest, reports_all_bad_files_at_once) {
  const std::string empty = write("empty.h5", std::vector<TestPair>{});
  const std::string missing = (folder_.path() / "missing.h5").string();
  EXPECT_THAT([&] { (void)open({empty, write("a.h5", {pair_with(10)}), missing}); },
              throws<InputError>(AllOf(HasSubstr(empty), HasSubstr("the data set is empty"), HasSubstr(missing),
                                       Not(HasSubstr("a.h5")))));
}

TEST_F(PreferenceDatasetTest, tells_what_is_wrong_with_many_files_once) {
  const auto missing = [&](const char* name) { return (folder_.path() / name).string(); };
  EXPECT_THAT([&] { (void)open({missing("a.h5"), missing("b.h5"), missing("c.h5")}); },
              throws<InputError>(missing("a.h5") + ": No such file or directory, and 2 more like it"));
}

TEST_F(PreferenceDatasetTest, refuses_a_data_set_without_weight) {
  const std::string path = write("a.h5", {pair_with(10, 1.0F, 0.0F), pair_with(20, 1.0F, 0.0F)});
  EXPECT_THAT([&] { (void)open({path}); },
              throws<InputError>(AllOf(HasSubstr(path), HasSubstr("weight: 0 for all 2"))));
  EXPECT_NO_THROW((void)open({path, write("b.h5", {pair_with(30)})}));
}

TEST_F(PreferenceDatasetTest, refuses_files_that_were_tokenized_differently) {
  const std::string a = write("a.h5", {pair_with(10)});
  PreferenceContent content = preference_content({pair_with(20)});
  content.tokenization.tokenizer_fingerprint = hash_text("another").hex();
  const std::string b = write("b.h5", content);
  EXPECT_THAT([&] { (void)open({a, b}); },
              throws<InputError>(AllOf(HasSubstr(a), HasSubstr(b), HasSubstr(hash_text("tokenizer").hex()),
                                       HasSubstr(hash_text("another").hex()))));
}

TEST_F(PreferenceDatasetTest, requires_the_tokenizer_of_the_model) {
  const std::string path = write("a.h5", {pair_with(10)});
  const PreferenceDataset dataset = open({path});
  EXPECT_NO_THROW(dataset.require_tokenizer("models/sft", hash_text("tokenizer"), hash_text("")));
  EXPECT_NO_THROW(dataset.require_tokenizer("models/sft", std::nullopt, std::nullopt));
  EXPECT_THAT(
      [&] { dataset.require_tokenizer("models/sft", hash_text("other"), hash_text("")); },
      throws<InputError>(AllOf(HasSubstr(path), HasSubstr("models/sft"), HasSubstr(hash_text("tokenizer").hex()),
                               HasSubstr(hash_text("other").hex()), Not(HasSubstr("chat_template")))));
  EXPECT_THAT([&] { dataset.require_tokenizer("models/sft", std::nullopt, hash_text("{{ messages }}")); },
              throws<InputError>(AllOf(HasSubstr("chat_template_fingerprint"), HasSubstr(hash_text("").hex()),
                                       HasSubstr(hash_text("{{ messages }}").hex()))));
}

TEST_F(PreferenceDatasetTest, scans_only_the_range_asked_for) {
  PreferenceContent content = preference_content({pair_with(30), pair_with(60), pair_with(40)});
  const std::string a = write("a.h5", {pair_with(10), pair_with(20)});
  const std::string b = write("b.h5", content);
  const PreferenceDataset dataset = open({a, b});
  EXPECT_NO_THROW(dataset.scan_tokens(0, 5, 64));
  EXPECT_NO_THROW(dataset.scan_tokens(0, 3, 62));
  EXPECT_NO_THROW(dataset.scan_tokens(4, 5, 62));
  EXPECT_NO_THROW(dataset.scan_tokens(2, 2, 1));
  EXPECT_THAT([&] { dataset.scan_tokens(3, 4, 62); },
              throws<InputError>(HasSubstr(b + ": pair 1: token 2 of the pair has the id 62")));
  EXPECT_THAT([&] { dataset.scan_tokens(0, 5, 12); }, throws<InputError>(HasSubstr(a + ": pair 0: token 2")));
  EXPECT_THROW(dataset.scan_tokens(0, 6, 64), InvariantError);
}

TEST_F(PreferenceDatasetTest, does_not_scan_pairs_that_are_left_out) {
  const std::string path = write("a.h5", {pair_with(10), pair_with(90, 0.5F), pair_with(20)});
  EXPECT_NO_THROW(open({path}, 0.1).scan_tokens(0, 2, 30));
}

TEST_F(PreferenceDatasetTest, refuses_an_index_beyond_its_end) {
  const PreferenceDataset dataset = open({write("a.h5", {pair_with(10)})});
  EXPECT_THROW((void)dataset.lengths(1), InvariantError);
  EXPECT_THROW((void)dataset.read(1), InvariantError);
}

TEST_F(PreferenceDatasetTest, the_fingerprint_follows_content_and_order) {
  const PreferenceDataset both = open({write("a.h5", {pair_with(10), pair_with(20)})});
  const PreferenceDataset split = open({write("b.h5", {pair_with(10)}), write("c.h5", {pair_with(20)})});
  EXPECT_EQ(both.fingerprint(), split.fingerprint());
  EXPECT_NE(both.fingerprint(), open({write("d.h5", {pair_with(20), pair_with(10)})}).fingerprint());
  EXPECT_NE(both.fingerprint(), open({write("e.h5", {pair_with(10), pair_with(20, 0.9F)})}).fingerprint());
  EXPECT_NE(both.fingerprint(), open({write("f.h5", {pair_with(10), pair_with(20, 1.0F, 0.5F)})}).fingerprint());
}

TEST_F(PreferenceDatasetTest, counts_evaluation_pairs_that_are_trained_on) {
  const PreferenceDataset train = open({write("a.h5", {pair_with(10), pair_with(20), pair_with(20)})});
  const PreferenceDataset eval = open({write("b.h5", {pair_with(20), pair_with(30), pair_with(20, 0.7F)})});
  EXPECT_EQ(count_pairs_also_in(eval, train), 2U);
  EXPECT_EQ(count_pairs_also_in(train, eval), 2U);
  EXPECT_EQ(count_pairs_also_in(open({write("c.h5", {pair_with(30)})}), train), 0U);
}

}  // namespace
}  // namespace collimate
