#include "collimate/data/preference_file.hpp"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "support/written_preference_file.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<TestPair> kPairs{{.prompt = {1, 2}, .chosen = {3, 4, 5}, .rejected = {6}, .label = 0.75F},
                                   {.prompt = {7}, .chosen = {8}, .rejected = {9, 10}, .weight = 0.5F},
                                   {.prompt = {11}, .chosen = {12}, .rejected = {13}, .label = 0.0F}};

class PreferenceFileTest : public WrittenPreferenceFile {
 protected:
  static PreferenceContent good() { return preference_content(kPairs); }
};

TEST_F(PreferenceFileTest, gives_what_was_written) {
  write_preference_file(path(), good());
  const PreferenceFile file(path());
  EXPECT_EQ(file.path(), path());
  ASSERT_EQ(file.num_pairs(), 3U);
  EXPECT_EQ(file.num_tokens(), 13U);
  EXPECT_EQ(file.tokenization(), PreferenceContent{}.tokenization);
  EXPECT_THAT(file.counts(), HasSubstr("written"));
  EXPECT_THAT(file.source_names(), ElementsAre("test"));
  EXPECT_EQ(file.labelled(), LabelledTokens::kAll);
  EXPECT_EQ(file.lengths(0), (PairLengths{2, 3, 1}));
  EXPECT_EQ(file.lengths(1), (PairLengths{1, 1, 2}));
  EXPECT_EQ(file.label(0), 0.75F);
  EXPECT_EQ(file.label(2), 0.0F);
  EXPECT_EQ(file.weight(1), 0.5F);
  EXPECT_EQ(file.pair_id(1), hash_pair({1, 1, 2}, std::vector<std::uint32_t>{7, 8, 9, 10}));
  EXPECT_THAT(file.read_pair(0).tokens, ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(file.read_pair(2).tokens, ElementsAre(11, 12, 13));
}

TEST_F(PreferenceFileTest, scans_any_rows) {
  write_preference_file(path(), random_preference_pairs(1, 50, 20, 100));
  const PreferenceFile file(path());
  EXPECT_NO_THROW(file.scan_tokens(all_rows(file), 100));
  EXPECT_NO_THROW(file.scan_tokens(std::vector<std::uint64_t>{0, 1, 5, 6, 7, 49}, 100));
  EXPECT_NO_THROW(file.scan_tokens({}, 1));
}

TEST_F(PreferenceFileTest, scans_more_than_one_block) {
  // 900 pairs of about 1500 tokens are more than the million of a block; only the last token is wrong.
  PreferenceContent content = preference_content(random_preference_pairs(1, 900, 1000, 100));
  content.tokens.back() += 100;
  write_preference_file(path(), content);
  const PreferenceFile file(path());
  ASSERT_GT(file.num_tokens(), std::uint64_t{1} << 20U);
  std::vector<std::uint64_t> rows = all_rows(file);
  EXPECT_THAT([&] { file.scan_tokens(rows, 100); }, refused_at("pair 899: token"));
  EXPECT_THAT([&] { file.scan_tokens(rows, 200); }, refused_at("pair 899: pair_id"));
  rows.pop_back();
  EXPECT_NO_THROW(file.scan_tokens(rows, 100));
}

TEST_F(PreferenceFileTest, refuses_a_token_outside_the_vocabulary) {
  write_preference_file(path(), good());
  const PreferenceFile file(path());
  EXPECT_NO_THROW(file.scan_tokens(all_rows(file), 14));
  EXPECT_THAT([&] { file.scan_tokens(all_rows(file), 10); },
              refused_at("pair 1: token 3 of the pair has the id 10: outside the model's vocabulary, 0 to 9"));
}

TEST_F(PreferenceFileTest, refuses_tokens_that_do_not_give_the_pair_id) {
  PreferenceContent content = good();
  content.tokens[7] = 99;
  write_preference_file(path(), content);
  const PreferenceFile file(path());
  EXPECT_NO_THROW((void)file.read_pair(0));
  EXPECT_THAT([&] { (void)file.read_pair(1); }, refused_at("pair 1: pair_id " + file.pair_id(1).hex()));
  EXPECT_THAT([&] { file.scan_tokens(all_rows(file), 100); }, refused_at("pair 1: pair_id"));
}

TEST_F(PreferenceFileTest, refuses_a_flipped_byte_of_the_tokens) {
  PreferenceContent content = good();
  write_preference_file(path(), content);
  const std::string bytes = read_bytes(path());
  const auto* raw = reinterpret_cast<const char*>(content.tokens.data());
  const auto place = bytes.find(std::string(raw, content.tokens.size() * sizeof(std::uint32_t)));
  ASSERT_NE(place, std::string::npos);
  flip_byte(path(), place + 5);
  const PreferenceFile file(path());
  EXPECT_THAT([&] { (void)file.read_pair(0); }, refused_at("'tokens'"));
  EXPECT_THAT([&] { file.scan_tokens(all_rows(file), 100); }, refused_at("'tokens'"));
}

TEST_F(PreferenceFileTest, refuses_a_flipped_byte_of_a_column) {
  PreferenceContent content = good();
  write_preference_file(path(), content);
  const std::string bytes = read_bytes(path());
  const auto* raw = reinterpret_cast<const char*>(content.label.data());
  const auto place = bytes.find(std::string(raw, content.label.size() * sizeof(float)));
  ASSERT_NE(place, std::string::npos);
  flip_byte(path(), place);
  EXPECT_THAT([&] { PreferenceFile{path()}; }, refused_at("'label'"));
}

TEST_F(PreferenceFileTest, refuses_a_truncated_file) {
  write_preference_file(path(), good());
  const std::string bytes = read_bytes(path());
  write_bytes(path(), bytes.substr(0, bytes.size() / 2));
  EXPECT_THAT([&] { PreferenceFile{path()}; }, throws<InputError>(HasSubstr(path())));
}

TEST_F(PreferenceFileTest, refuses_a_missing_file) {
  EXPECT_THAT([&] { PreferenceFile{path()}; }, throws<InputError>(HasSubstr(path())));
}

TEST_F(PreferenceFileTest, refuses_another_format) {
  PreferenceContent content = good();
  content.format = "collimate.reference";
  EXPECT_THAT(opening(content), refused_at("'format': 'collimate.reference'"));
  content.left_out = {"format"};
  EXPECT_THAT(opening(content), refused_at("'format': ''"));
  content = good();
  for (const std::int64_t version : {0, 3}) {
    content.format_version = version;
    EXPECT_THAT(opening(content),
                refused_at(fmt::format("'format_version': {}: this program reads versions 1 and 2", version)));
  }
}

TEST_F(PreferenceFileTest, refuses_bad_attributes) {
  const auto spoilt = [](auto&& spoil) {
    PreferenceContent content = good();
    spoil(content);
    return content;
  };
  EXPECT_THAT(opening(spoilt([](auto& c) { c.tokenization.tokenizer_fingerprint += "0"; })),
              refused_at("'tokenizer_fingerprint'"));
  EXPECT_THAT(opening(spoilt([](auto& c) { c.tokenization.chat_template_fingerprint[3] = 'G'; })),
              refused_at("'chat_template_fingerprint'"));
  EXPECT_THAT(opening(spoilt([](auto& c) { c.input_fingerprint.pop_back(); })), refused_at("'input_fingerprint'"));
  EXPECT_THAT(opening(spoilt([](auto& c) { c.tokenization.overlong += "ped"; })),
              refused_at("'overlong': 'dropped': one of drop, cut_response, cut_prompt_left"));
  EXPECT_THAT(opening(spoilt([](auto& c) { c.tokenization.max_length = 0; })), refused_at("'max_length': 0"));
  EXPECT_THAT(opening(spoilt([](auto& c) { c.tokenization.vocab_size = -5; })), refused_at("'vocab_size': -5"));
  for (const char* name : {"format_version", "tokenizer_fingerprint", "chat_template_fingerprint", "input_fingerprint",
                           "overlong", "max_length", "vocab_size", "counts"}) {
    EXPECT_THAT(opening(spoilt([&](auto& c) { c.left_out = {name}; })), refused_at(name));
  }
}

TEST_F(PreferenceFileTest, names_all_missing_datasets) {
  PreferenceContent content = good();
  content.left_out = {"tokens", "weight", "source_names"};
  EXPECT_THAT(opening(content), refused_at("no dataset tokens, weight, source_names"));
}

TEST_F(PreferenceFileTest, refuses_a_column_of_another_type) {
  PreferenceContent content = good();
  content.left_out = {"label"};
  content.write_others = [](Hdf5Writer& writer) { writer.write("label", std::vector<double>{1, 1, 1}); };
  EXPECT_THAT(opening(content), refused_at("'label'"));
  content = good();
  content.left_out = {"tokens"};
  content.write_others = [](Hdf5Writer& writer) { writer.write("tokens", std::vector<std::int64_t>(13, 1)); };
  EXPECT_THAT(opening(content), refused_at("tokens"));
}

TEST_F(PreferenceFileTest, refuses_a_column_of_another_length) {
  PreferenceContent content = good();
  content.weight.pop_back();
  EXPECT_THAT(opening(content), refused_at("'weight'"));
  content = good();
  content.pair_id.resize(4);
  EXPECT_THAT(opening(content), refused_at("'pair_id'"));
}

TEST_F(PreferenceFileTest, refuses_a_file_without_pairs) {
  EXPECT_THAT(opening(preference_content({})), refused_at("the data set is empty"));
}

TEST_F(PreferenceFileTest, refuses_offsets_that_do_not_span_the_tokens) {
  PreferenceContent content = good();
  content.offsets[0] = 1;
  EXPECT_THAT(opening(content), refused_at("offsets[0]: 1"));
  content = good();
  content.offsets.back() = 14;
  EXPECT_THAT(opening(content), refused_at("offsets[3]: 14: the last pair ends at the end of tokens, 13"));
}

TEST_F(PreferenceFileTest, refuses_offsets_that_descend) {
  PreferenceContent content = good();
  content.offsets[1] = 12;
  EXPECT_THAT(opening(content), refused_at("pair 1: offsets go from 12 back to 10"));
}

TEST_F(PreferenceFileTest, refuses_counts_that_do_not_fill_the_extent) {
  PreferenceContent content = good();
  content.num_chosen_tokens[0] = 4;
  EXPECT_THAT(opening(content),
              refused_at("pair 0: counts of 2 prompt, 4 chosen and 1 rejected tokens: offsets 0 to 6"));
}

TEST_F(PreferenceFileTest, counts_do_not_overflow) {
  PreferenceContent content = good();
  content.num_prompt_tokens[0] = std::numeric_limits<std::uint32_t>::max();
  content.num_chosen_tokens[0] = 6;
  EXPECT_THAT(opening(content), refused_at("pair 0: counts of 4294967295 prompt"));
}

TEST_F(PreferenceFileTest, refuses_an_empty_part) {
  EXPECT_THAT(opening(preference_content({{.prompt = {}, .chosen = {1}, .rejected = {2}}})),
              refused_at("pair 0: num_prompt_tokens 0: the prompt is empty"));
  EXPECT_THAT(opening(preference_content({{.prompt = {1}, .chosen = {}, .rejected = {2}}})),
              refused_at("pair 0: num_chosen_tokens 0: the chosen response is empty"));
  EXPECT_THAT(opening(preference_content({{.prompt = {1}, .chosen = {1}, .rejected = {}}})),
              refused_at("pair 0: num_rejected_tokens 0: the rejected response is empty"));
}

TEST_F(PreferenceFileTest, refuses_labels_that_are_no_probability) {
  for (const float label : {-0.01F, 1.01F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    PreferenceContent content = good();
    content.label[2] = label;
    EXPECT_THAT(opening(content), refused_at(fmt::format("pair 2: label {}: a probability in [0, 1]", label)));
  }
}

TEST_F(PreferenceFileTest, refuses_weights_that_are_negative_or_not_finite) {
  for (const float weight : {-1.0F, std::nanf(""), std::numeric_limits<float>::infinity()}) {
    PreferenceContent content = good();
    content.weight[1] = weight;
    EXPECT_THAT(opening(content), refused_at(fmt::format("pair 1: weight {}: a finite number", weight)));
  }
}

TEST_F(PreferenceFileTest, refuses_a_source_without_a_name) {
  PreferenceContent content = good();
  content.source[2] = 1;
  EXPECT_THAT(opening(content), refused_at("pair 2: source 1: an index into the 1 source_names"));
}

TEST_F(PreferenceFileTest, reports_all_wrong_pairs_at_once_by_what_is_wrong) {
  PreferenceContent content = preference_content(random_preference_pairs(1, 20, 5, 100));
  for (std::size_t i = 3; i < 10; ++i) content.label[i] = 2.0F;
  content.weight[12] = -1.0F;
  EXPECT_THAT(opening(content), throws<InputError>(HasSubstr(
                                    "8 of 20 pairs are wrong:\n  pair 3: label 2: a probability in [0, 1], and 6 more "
                                    "like it\n  pair 12: weight -1: a finite number that is not negative")));
}

}  // namespace
}  // namespace collimate
