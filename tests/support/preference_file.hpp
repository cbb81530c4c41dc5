#pragma once
// Small preference files for tests: good ones from pairs, and bad ones by changing the columns before they are written.

#include <algorithm>
#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "collimate/base/random.hpp"
#include "collimate/data/pair.hpp"
#include "collimate/data/tokenization.hpp"
#include "collimate/io/hdf5.hpp"

namespace collimate {

struct TestPair {
  std::vector<std::uint32_t> prompt, chosen, rejected;
  float label = 1.0F;
  float weight = 1.0F;
  /// 0 or 1 for each token of the response; both empty: all tokens are labelled.
  std::vector<std::uint8_t> is_chosen_labelled, is_rejected_labelled;
};

/// Labels of the pair's tokens, prompt included.
inline std::vector<std::uint8_t> pair_labels(const TestPair& pair) {
  std::vector<std::uint8_t> labels(pair.prompt.size(), 0);
  const auto append = [&](const std::vector<std::uint8_t>& own, std::size_t count) {
    labels.insert(labels.end(), count, 1);
    std::ranges::copy(own, labels.end() - static_cast<std::ptrdiff_t>(count));
  };
  append(pair.is_chosen_labelled, pair.chosen.size());
  append(pair.is_rejected_labelled, pair.rejected.size());
  return labels;
}

/// Everything that a preference file holds, open to be spoilt.
struct PreferenceContent {
  std::string format = "collimate.preferences";
  std::int64_t format_version = 2;
  std::string labelled = "all";
  Tokenization tokenization{.tokenizer_fingerprint = hash_text("tokenizer").hex(),
                            .chat_template_fingerprint = hash_text("").hex(),
                            .overlong = "drop",
                            .max_length = 512,
                            .vocab_size = 100};
  std::string input_fingerprint = hash_text("input").hex();
  std::vector<std::uint32_t> tokens;
  std::vector<std::uint64_t> offsets{0};
  std::vector<std::uint32_t> num_prompt_tokens, num_chosen_tokens, num_rejected_tokens;
  std::vector<std::uint8_t> is_labelled;  ///< not written where it is empty, nor are its counts
  std::vector<std::uint32_t> num_labelled_chosen_tokens, num_labelled_rejected_tokens;
  std::vector<float> label, weight;
  std::vector<std::uint16_t> source;
  std::vector<std::uint64_t> pair_id;
  std::vector<std::string> source_names{"test"};
  std::set<std::string> left_out;                 ///< datasets and attributes that are not written
  std::function<void(Hdf5Writer&)> write_others;  ///< for what replaces them
};

inline void append_labels(PreferenceContent& content, const TestPair& pair) {
  const std::vector<std::uint8_t> labels = pair_labels(pair);
  const auto rejected = labels.end() - std::ssize(pair.rejected);
  const auto count = [](auto begin, auto end) { return static_cast<std::uint32_t>(std::count(begin, end, 1)); };
  content.is_labelled.insert(content.is_labelled.end(), labels.begin(), labels.end());
  content.num_labelled_chosen_tokens.push_back(count(labels.begin(), rejected));
  content.num_labelled_rejected_tokens.push_back(count(rejected, labels.end()));
}

/// A file that labels all tokens, or the assistant's where a pair says which those are.
inline PreferenceContent preference_content(const std::vector<TestPair>& pairs) {
  PreferenceContent content;
  const bool is_assistant =
      std::ranges::any_of(pairs, [](const TestPair& pair) { return !pair.is_chosen_labelled.empty(); });
  if (is_assistant) content.labelled = "assistant";
  for (const TestPair& pair : pairs) {
    std::vector<std::uint32_t> tokens = pair.prompt;
    tokens.insert(tokens.end(), pair.chosen.begin(), pair.chosen.end());
    tokens.insert(tokens.end(), pair.rejected.begin(), pair.rejected.end());
    const PairLengths lengths{std::ssize(pair.prompt), std::ssize(pair.chosen), std::ssize(pair.rejected)};
    const Hash128 id = hash_pair(lengths, tokens, pair_labels(pair));
    if (is_assistant) append_labels(content, pair);
    content.tokens.insert(content.tokens.end(), tokens.begin(), tokens.end());
    content.offsets.push_back(content.tokens.size());
    content.num_prompt_tokens.push_back(static_cast<std::uint32_t>(pair.prompt.size()));
    content.num_chosen_tokens.push_back(static_cast<std::uint32_t>(pair.chosen.size()));
    content.num_rejected_tokens.push_back(static_cast<std::uint32_t>(pair.rejected.size()));
    content.label.push_back(pair.label);
    content.weight.push_back(pair.weight);
    content.source.push_back(0);
    content.pair_id.insert(content.pair_id.end(), {id.high, id.low});
  }
  return content;
}

/// Writes `content` to `path` as it is, right or wrong.
inline void write_preference_file(const std::filesystem::path& path, const PreferenceContent& content) {
  Hdf5Writer writer(path.string());
  const auto attribute = [&](const char* name, const auto& value) {
    if (!content.left_out.contains(name)) writer.write_attribute(name, value);
  };
  attribute("format", content.format);
  attribute("format_version", content.format_version);
  if (content.format_version > 1) attribute("labelled", content.labelled);
  attribute("tokenizer_fingerprint", content.tokenization.tokenizer_fingerprint);
  attribute("chat_template_fingerprint", content.tokenization.chat_template_fingerprint);
  attribute("input_fingerprint", content.input_fingerprint);
  attribute("overlong", content.tokenization.overlong);
  attribute("max_length", content.tokenization.max_length);
  attribute("vocab_size", content.tokenization.vocab_size);
  attribute("counts", std::string(R"({"read": 0, "written": 0, "dropped": {}, "cut": {}})"));
  const auto dataset = [&](const char* name, const auto& values) {
    if (!content.left_out.contains(name)) writer.write(name, values);
  };
  dataset("tokens", content.tokens);
  dataset("offsets", content.offsets);
  dataset("num_prompt_tokens", content.num_prompt_tokens);
  dataset("num_chosen_tokens", content.num_chosen_tokens);
  dataset("num_rejected_tokens", content.num_rejected_tokens);
  if (!content.is_labelled.empty()) {
    dataset("is_labelled", content.is_labelled);
    dataset("num_labelled_chosen_tokens", content.num_labelled_chosen_tokens);
    dataset("num_labelled_rejected_tokens", content.num_labelled_rejected_tokens);
  }
  dataset("label", content.label);
  dataset("weight", content.weight);
  dataset("source", content.source);
  if (!content.left_out.contains("pair_id")) {
    writer.write("pair_id", std::span<const std::uint64_t>(content.pair_id), {content.pair_id.size() / 2, 2});
  }
  if (!content.left_out.contains("source_names")) writer.write_texts("source_names", content.source_names);
  if (content.write_others) content.write_others(writer);
  writer.commit();
}

inline void write_preference_file(const std::filesystem::path& path, const std::vector<TestPair>& pairs) {
  write_preference_file(path, preference_content(pairs));
}

/// Labels for the responses of two of three pairs: each token's by chance, at least one of a response; the same for the
/// same arguments.
inline void label_some_tokens(std::vector<TestPair>& pairs, std::uint64_t seed) {
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    if (i % 3 == 2) continue;
    const RandomStream stream(seed, "label_some_tokens", i);
    std::uint64_t num_drawn = 0;
    const auto labels = [&](std::size_t count) {
      std::vector<std::uint8_t> own(count);
      for (std::uint8_t& label : own) label = static_cast<std::uint8_t>(stream.below(num_drawn++, 2));
      own[stream.below(num_drawn++, count)] = 1;
      return own;
    };
    pairs[i].is_chosen_labelled = labels(pairs[i].chosen.size());
    pairs[i].is_rejected_labelled = labels(pairs[i].rejected.size());
  }
}

/// `count` pairs of 1 to `most_tokens` tokens a part with ids below `vocab_size`; the same for the same arguments.
inline std::vector<TestPair> random_preference_pairs(std::uint64_t seed, std::uint64_t count, std::uint64_t most_tokens,
                                                     std::uint64_t vocab_size) {
  std::vector<TestPair> pairs;
  for (std::uint64_t i = 0; i < count; ++i) {
    const RandomStream stream(seed, "random_preference_pairs", i);
    std::uint64_t num_drawn = 0;
    const auto draw = [&](std::uint64_t bound) { return static_cast<std::uint32_t>(stream.below(num_drawn++, bound)); };
    const auto part = [&] {
      std::vector<std::uint32_t> tokens(1 + draw(most_tokens));
      for (std::uint32_t& token : tokens) token = draw(vocab_size);
      return tokens;
    };
    TestPair& pair = pairs.emplace_back();
    pair.prompt = part();
    pair.chosen = part();
    pair.rejected = part();
  }
  return pairs;
}

}  // namespace collimate
