#include "collimate/data/preference_file.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "preference_columns.hpp"
#include "token_labels.hpp"

namespace collimate {

namespace {

constexpr std::string_view kHowToMake = "made by tools/tokenize_preferences.py";

constexpr std::int64_t kVersionWithoutLabels = 1;

void require_format(const Hdf5Reader& reader) {
  const std::string format = reader.has_attribute("format") ? reader.text_attribute("format") : "";
  if (format != PreferenceFile::kFormat) {
    throw InputError(fmt::format("{}: attribute 'format': '{}': not a preference file, which has '{}' and is {}",
                                 reader.path(), format, PreferenceFile::kFormat, kHowToMake));
  }
  const std::int64_t version = reader.integer_attribute("format_version");
  if (version == kVersionWithoutLabels || version == PreferenceFile::kFormatVersion) return;
  throw InputError(fmt::format("{}: attribute 'format_version': {}: this program reads versions {} and {}",
                               reader.path(), version, kVersionWithoutLabels, PreferenceFile::kFormatVersion));
}

LabelledTokens read_labelled(const Hdf5Reader& reader) {
  if (reader.integer_attribute("format_version") == kVersionWithoutLabels) return LabelledTokens::kAll;
  const std::string text = reader.text_attribute("labelled");
  if (const auto labelled = find_enum<LabelledTokens>(text)) return *labelled;
  throw InputError(fmt::format("{}: attribute 'labelled': '{}': one of all, assistant", reader.path(), text));
}

void require_datasets(const Hdf5Reader& reader, LabelledTokens labelled) {
  std::vector<const char*> needed{"tokens",
                                  "offsets",
                                  "num_prompt_tokens",
                                  "num_chosen_tokens",
                                  "num_rejected_tokens",
                                  "label",
                                  "weight",
                                  "source",
                                  "source_names",
                                  "pair_id"};
  for (const char* name : detail::kLabelDatasets) {
    if (labelled == LabelledTokens::kAssistant) {
      needed.push_back(name);
    } else if (reader.has_dataset(name)) {
      throw InputError(fmt::format(
          "{}: {}: the file labels all tokens and has none of {}; only one with 'labelled' = 'assistant' has them",
          reader.path(), name, fmt::join(detail::kLabelDatasets, ", ")));
    }
  }
  std::erase_if(needed, [&](const char* name) { return reader.has_dataset(name); });
  if (needed.empty()) return;
  throw InputError(fmt::format("{}: the file has no dataset {}", reader.path(), fmt::join(needed, ", ")));
}

/// Opens `path` if it calls itself a preference file of a known version, with all the format's datasets.
Hdf5Reader open_preferences(std::string path) {
  Hdf5Reader reader(std::move(path));
  require_format(reader);
  require_datasets(reader, read_labelled(reader));
  return reader;
}

std::string read_fingerprint(const Hdf5Reader& reader, const char* name) {
  std::string text = reader.text_attribute(name);
  const bool is_hex = text.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (is_hex && text.size() == 32) return text;
  throw InputError(fmt::format("{}: attribute '{}': '{}': 32 hexadecimal digits", reader.path(), name, text));
}

std::int64_t read_positive(const Hdf5Reader& reader, const char* name) {
  const std::int64_t value = reader.integer_attribute(name);
  if (value >= 1) return value;
  throw InputError(fmt::format("{}: attribute '{}': {}: at least 1", reader.path(), name, value));
}

std::string read_overlong(const Hdf5Reader& reader) {
  constexpr std::array<std::string_view, 3> kPolicies{"drop", "cut_response", "cut_prompt_left"};
  std::string policy = reader.text_attribute("overlong");
  if (std::ranges::find(kPolicies, policy) != kPolicies.end()) return policy;
  throw InputError(
      fmt::format("{}: attribute 'overlong': '{}': one of {}", reader.path(), policy, fmt::join(kPolicies, ", ")));
}

Tokenization read_tokenization(const Hdf5Reader& reader) {
  return {.tokenizer_fingerprint = read_fingerprint(reader, "tokenizer_fingerprint"),
          .chat_template_fingerprint = read_fingerprint(reader, "chat_template_fingerprint"),
          .overlong = read_overlong(reader),
          .max_length = read_positive(reader, "max_length"),
          .vocab_size = read_positive(reader, "vocab_size")};
}

Hdf5Dataset open_tokens(const Hdf5Reader& reader) {
  Hdf5Dataset tokens = reader.dataset("tokens");
  if (tokens.shape().size() == 1 && tokens.type() == Hdf5Type::kUint32) return tokens;
  throw InputError(fmt::format("{}: tokens: {} dims or a type other than uint32: 1 dim of uint32", reader.path(),
                               tokens.shape().size()));
}

}  // namespace

PreferenceFile::PreferenceFile(std::string path)
    : reader_(open_preferences(std::move(path))),
      labelled_(read_labelled(reader_)),
      tokenization_(read_tokenization(reader_)),
      counts_(reader_.text_attribute("counts")),
      source_names_(reader_.read_texts("source_names")),
      tokens_(open_tokens(reader_)) {
  static_cast<void>(read_fingerprint(reader_, "input_fingerprint"));
  columns_ = detail::read_pair_columns(reader_, tokens_.shape()[0], source_names_, labelled_);
  if (labelled_ == LabelledTokens::kAssistant) is_labelled_ = detail::open_labels(reader_, num_tokens());
}

PairLengths PreferenceFile::lengths(std::uint64_t row) const {
  PairLengths lengths{.num_prompt_tokens = columns_.num_prompt_tokens[row],
                      .num_chosen_tokens = columns_.num_chosen_tokens[row],
                      .num_rejected_tokens = columns_.num_rejected_tokens[row]};
  if (labelled_ == LabelledTokens::kAssistant) {
    lengths.num_labelled_chosen_tokens = columns_.num_labelled_chosen_tokens[row];
    lengths.num_labelled_rejected_tokens = columns_.num_labelled_rejected_tokens[row];
  }
  return lengths;
}

Hash128 PreferenceFile::pair_id(std::uint64_t row) const {
  return {.high = columns_.pair_ids[2 * row], .low = columns_.pair_ids[2 * row + 1]};
}

std::uint64_t PreferenceFile::num_tokens(std::uint64_t row) const {
  return columns_.offsets[row + 1] - columns_.offsets[row];
}

PairTokens PreferenceFile::read_pair(std::uint64_t row) const {
  PairTokens pair{.pair_index = row, .lengths = lengths(row)};
  read_rows(row, row, pair.tokens, pair.is_labelled);
  require_pair(row, pair.tokens, pair.is_labelled);
  return pair;
}

void PreferenceFile::scan_tokens(std::span<const std::uint64_t> rows, std::int64_t vocab_size) const {
  constexpr std::uint64_t kBlockTokens = 1U << 20U;
  std::vector<std::uint32_t> block;
  std::vector<std::uint8_t> labels;
  for (std::size_t first = 0; first < rows.size();) {
    // A block is a run of neighbouring rows, and at least one.
    std::size_t last = first;
    std::uint64_t size = num_tokens(rows[first]);
    while (last + 1 < rows.size() && rows[last + 1] == rows[last] + 1 && size < kBlockTokens) {
      size += num_tokens(rows[++last]);
    }
    read_rows(rows[first], rows[last], block, labels);
    std::uint64_t begin = 0;
    for (; first <= last; ++first) {
      const std::uint64_t count = num_tokens(rows[first]);
      const auto tokens = std::span(block).subspan(begin, count);
      require_vocabulary(rows[first], tokens, vocab_size);
      require_pair(rows[first], tokens, labels.empty() ? std::span(labels) : std::span(labels).subspan(begin, count));
      begin += count;
    }
  }
}

void PreferenceFile::read_rows(std::uint64_t first_row, std::uint64_t last_row, std::vector<std::uint32_t>& tokens,
                               std::vector<std::uint8_t>& is_labelled) const {
  const std::uint64_t begin = columns_.offsets[first_row];
  tokens.resize(columns_.offsets[last_row + 1] - begin);
  tokens_.read_range<std::uint32_t>(begin, tokens);
  if (!is_labelled_) return;
  is_labelled.resize(tokens.size());
  is_labelled_->read_range<std::uint8_t>(begin, is_labelled);
}

void PreferenceFile::require_pair(std::uint64_t row, std::span<const std::uint32_t> tokens,
                                  std::span<const std::uint8_t> is_labelled) const {
  if (is_labelled_) detail::require_labels(fmt::format("{}: pair {}", path(), row), lengths(row), is_labelled);
  const Hash128 found = hash_pair(lengths(row), tokens, is_labelled);
  if (found == pair_id(row)) return;
  throw InputError(fmt::format("{}: pair {}: pair_id {}: {} hash to {}: the file is damaged or badly made", path(), row,
                               pair_id(row).hex(), is_labelled_ ? "its tokens and labels" : "its tokens", found.hex()));
}

void PreferenceFile::require_vocabulary(std::uint64_t row, std::span<const std::uint32_t> tokens,
                                        std::int64_t vocab_size) const {
  const auto outside =
      std::ranges::find_if(tokens, [&](std::uint32_t token) { return std::int64_t{token} >= vocab_size; });
  if (outside == tokens.end()) return;
  throw InputError(
      fmt::format("{}: pair {}: token {} of the pair has the id {}: outside the model's vocabulary, 0 to {} "
                  "(vocab_size {})",
                  path(), row, outside - tokens.begin(), *outside, vocab_size - 1, vocab_size));
}

}  // namespace collimate
