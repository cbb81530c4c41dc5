// Preference files of which only some response tokens are labelled.

#include "support/written_preference_file.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// The pairs' tokens are 0 to 5, 6 to 9 and 10 to 12 of the file.
const std::vector<TestPair> kLabelledPairs{{.prompt = {1, 2},
                                            .chosen = {3, 4, 5},
                                            .rejected = {6},
                                            .is_chosen_labelled = {0, 1, 0},
                                            .is_rejected_labelled = {1}},
                                           {.prompt = {7}, .chosen = {8}, .rejected = {9, 10}},
                                           {.prompt = {11}, .chosen = {12}, .rejected = {13}}};

class TokenLabelsTest : public WrittenPreferenceFile {
 protected:
  /// Opening is well; reading `row`, and scanning all, refuse the file and name it and `place`.
  void expect_unreadable(const PreferenceContent& content, std::uint64_t row, const std::string& place) const {
    write_preference_file(path(), content);
    const PreferenceFile file(path());
    std::vector<std::uint64_t> rows = all_rows(file);
    EXPECT_THAT([&] { (void)file.read_pair(row); }, refused_at(place));
    EXPECT_THAT([&] { file.scan_tokens(rows, 100); }, refused_at(place));
    rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(row));
    EXPECT_NO_THROW(file.scan_tokens(rows, 100));
  }

  static PreferenceContent good() { return preference_content(kLabelledPairs); }
};

TEST_F(TokenLabelsTest, gives_what_was_written) {
  write_preference_file(path(), good());
  const PreferenceFile file(path());
  EXPECT_EQ(file.labelled(), LabelledTokens::kAssistant);
  EXPECT_EQ(file.lengths(0), (PairLengths{2, 3, 1, 1, 1}));
  EXPECT_EQ(file.lengths(1), (PairLengths{1, 1, 2, 1, 2}));
  const PairTokens pair = file.read_pair(0);
  EXPECT_EQ(pair.pair_index, 0U);
  EXPECT_EQ(pair.lengths, file.lengths(0));
  EXPECT_THAT(pair.tokens, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(pair.is_labelled, ElementsAre(0, 0, 0, 1, 0, 1));
  EXPECT_THAT(file.read_pair(1).is_labelled, ElementsAre(0, 1, 1, 1));
}

TEST_F(TokenLabelsTest, a_pair_whose_tokens_are_all_labelled_has_the_id_it_always_had) {
  std::vector<TestPair> unlabelled = kLabelledPairs;
  unlabelled[0].is_chosen_labelled = unlabelled[0].is_rejected_labelled = {};
  const PreferenceContent all = preference_content(unlabelled);
  EXPECT_EQ(all.labelled, "all");
  const PreferenceContent some = good();
  EXPECT_NE(some.pair_id[0], all.pair_id[0]);
  for (std::size_t i = 2; i < 6; ++i) EXPECT_EQ(some.pair_id[i], all.pair_id[i]);
}

TEST_F(TokenLabelsTest, a_file_without_labels_labels_all_tokens_in_either_version) {
  for (const std::int64_t version : {1, 2}) {
    PreferenceContent content = preference_content({{.prompt = {1, 2}, .chosen = {3, 4, 5}, .rejected = {6}}});
    content.format_version = version;
    write_preference_file(path(), content);
    const PreferenceFile file(path());
    EXPECT_EQ(file.labelled(), LabelledTokens::kAll);
    EXPECT_EQ(file.lengths(0), (PairLengths{2, 3, 1, 3, 1}));
    EXPECT_THAT(file.read_pair(0).is_labelled, IsEmpty());
  }
}

TEST_F(TokenLabelsTest, scans_more_than_one_block) {
  // 900 pairs of about 1500 tokens are more than the million of a block; only the last token's label is wrong.
  std::vector<TestPair> pairs = random_preference_pairs(1, 900, 1000, 100);
  label_some_tokens(pairs, 1);
  PreferenceContent content = preference_content(pairs);
  ASSERT_GT(content.tokens.size(), std::size_t{1} << 20U);
  write_preference_file(path(), content);
  const std::vector<std::uint64_t> rows = all_rows(PreferenceFile(path()));
  EXPECT_NO_THROW(PreferenceFile(path()).scan_tokens(rows, 100));
  content.is_labelled.back() ^= 1;
  write_preference_file(path(), content);
  EXPECT_THAT([&] { PreferenceFile(path()).scan_tokens(rows, 100); }, refused_at("pair 899: num_labelled_rejected"));
}

TEST_F(TokenLabelsTest, refuses_a_file_that_does_not_say_what_it_labels) {
  PreferenceContent content = good();
  content.labelled = "user";
  EXPECT_THAT(opening(content), refused_at("'labelled': 'user': one of all, assistant"));
  content.left_out = {"labelled"};
  EXPECT_THAT(opening(content), refused_at("'labelled'"));
}

TEST_F(TokenLabelsTest, names_all_missing_datasets) {
  PreferenceContent content = good();
  content.left_out = {"weight", "is_labelled", "num_labelled_chosen_tokens", "num_labelled_rejected_tokens"};
  EXPECT_THAT(opening(content),
              refused_at("no dataset weight, is_labelled, num_labelled_chosen_tokens, num_labelled_rejected_tokens"));
}

TEST_F(TokenLabelsTest, refuses_labels_in_a_file_that_labels_all_tokens) {
  PreferenceContent content = good();
  content.labelled = "all";
  EXPECT_THAT(opening(content), refused_at("is_labelled: the file labels all tokens"));
  content.left_out = {"is_labelled", "num_labelled_chosen_tokens"};
  EXPECT_THAT(opening(content), refused_at("num_labelled_rejected_tokens: the file labels all tokens"));
  content = good();
  content.format_version = 1;
  EXPECT_THAT(opening(content), refused_at("is_labelled: the file labels all tokens"));
}

TEST_F(TokenLabelsTest, refuses_datasets_of_another_type) {
  PreferenceContent content = good();
  content.left_out = {"is_labelled"};
  content.write_others = [](Hdf5Writer& writer) { writer.write("is_labelled", std::vector<std::uint32_t>(13, 0)); };
  EXPECT_THAT(opening(content), refused_at("is_labelled: another type than uint8"));
  for (const char* name : {"num_labelled_chosen_tokens", "num_labelled_rejected_tokens"}) {
    content = good();
    content.left_out = {name};
    content.write_others = [name](Hdf5Writer& writer) { writer.write(name, std::vector<std::uint64_t>(3, 1)); };
    EXPECT_THAT(opening(content), refused_at(name));
  }
}

TEST_F(TokenLabelsTest, refuses_datasets_of_another_length) {
  PreferenceContent content = good();
  content.is_labelled.pop_back();
  EXPECT_THAT(opening(content), refused_at("is_labelled"));
  content = good();
  content.num_labelled_chosen_tokens.pop_back();
  EXPECT_THAT(opening(content), refused_at("num_labelled_chosen_tokens"));
  content = good();
  content.num_labelled_rejected_tokens.push_back(1);
  EXPECT_THAT(opening(content), refused_at("num_labelled_rejected_tokens"));
}

TEST_F(TokenLabelsTest, refuses_a_response_without_a_labelled_token) {
  PreferenceContent content = good();
  content.num_labelled_chosen_tokens[1] = 0;
  EXPECT_THAT(opening(content), refused_at("pair 1: num_labelled_chosen_tokens 0: 1 to 1, the tokens of the chosen"));
  content = good();
  content.num_labelled_rejected_tokens[0] = 0;
  EXPECT_THAT(opening(content),
              refused_at("pair 0: num_labelled_rejected_tokens 0: 1 to 1, the tokens of the rejected"));
}

TEST_F(TokenLabelsTest, refuses_more_labelled_tokens_than_there_are) {
  PreferenceContent content = good();
  content.num_labelled_chosen_tokens[0] = 4;
  EXPECT_THAT(opening(content), refused_at("pair 0: num_labelled_chosen_tokens 4: 1 to 3, the tokens of the chosen"));
  content = good();
  content.num_labelled_rejected_tokens[1] = 3;
  EXPECT_THAT(opening(content),
              refused_at("pair 1: num_labelled_rejected_tokens 3: 1 to 2, the tokens of the rejected"));
}

TEST_F(TokenLabelsTest, refuses_labels_other_than_0_and_1) {
  PreferenceContent content = good();
  content.is_labelled[8] = 2;
  expect_unreadable(content, 1, "pair 1: is_labelled 2 of token 2 of the pair: 0 or 1");
}

TEST_F(TokenLabelsTest, refuses_a_labelled_prompt_token) {
  PreferenceContent content = good();
  content.is_labelled[1] = 1;
  expect_unreadable(content, 0, "pair 0: is_labelled 1 of token 1 of the pair: 0 for the 2 tokens of its prompt");
}

TEST_F(TokenLabelsTest, refuses_labels_that_are_not_as_many_as_counted) {
  PreferenceContent content = good();
  content.is_labelled[2] = 1;
  expect_unreadable(content, 0, "pair 0: num_labelled_chosen_tokens 1: is_labelled is 1 for 2 tokens of the chosen");
  content = good();
  content.is_labelled[9] = 0;
  expect_unreadable(content, 1,
                    "pair 1: num_labelled_rejected_tokens 2: is_labelled is 1 for 1 tokens of the rejected");
}

TEST_F(TokenLabelsTest, refuses_labels_that_do_not_give_the_pair_id) {
  PreferenceContent content = good();
  std::swap(content.is_labelled[2], content.is_labelled[3]);
  expect_unreadable(content, 0, "its tokens and labels hash to");
}

TEST_F(TokenLabelsTest, refuses_a_flipped_byte_of_the_labels) {
  const PreferenceContent content = good();
  write_preference_file(path(), content);
  const std::string bytes = read_bytes(path());
  const auto place = bytes.find(std::string(content.is_labelled.begin(), content.is_labelled.end()));
  ASSERT_NE(place, std::string::npos);
  flip_byte(path(), place + 3);
  const PreferenceFile file(path());
  EXPECT_THAT([&] { (void)file.read_pair(0); }, refused_at("'is_labelled'"));
}

}  // namespace
}  // namespace collimate
