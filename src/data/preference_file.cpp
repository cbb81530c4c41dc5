#include "collimate/data/preference_file.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "preference_columns.hpp"

namespace collimate {

namespace {

constexpr std::string_view kHowToMake = "made by tools/tokenize_preferences.py";

/// Opens `path` if it calls itself a preference file of this version, with all the format's datasets.
Hdf5Reader open_preferences(std::string path) {
  Hdf5Reader reader(std::move(path));
  const std::string format = reader.has_attribute("format") ? reader.text_attribute("format") : "";
  if (format != PreferenceFile::kFormat) {
    throw InputError(fmt::format("{}: attribute 'format': '{}': not a preference file, which has '{}' and is {}",
                                 reader.path(), format, PreferenceFile::kFormat, kHowToMake));
  }
  const std::int64_t version = reader.integer_attribute("format_version");
  if (version != PreferenceFile::kFormatVersion) {
    throw InputError(fmt::format("{}: attribute 'format_version': {}: this program reads version {}", reader.path(),
                                 version, PreferenceFile::kFormatVersion));
  }
  constexpr std::array kDatasets{"tokens",
                                 "offsets",
                                 "num_prompt_tokens",
                                 "num_chosen_tokens",
                                 "num_rejected_tokens",
                                 "label",
                                 "weight",
                                 "source",
                                 "source_names",
                                 "pair_id"};
  std::vector<std::string> missing;
  for (const char* name : kDatasets) {
    if (!reader.has_dataset(name)) missing.emplace_back(name);
  }
  if (!missing.empty()) {
    throw InputError(fmt::format("{}: the file has no dataset {}", reader.path(), fmt::join(missing, ", ")));
  }
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
      tokenization_(read_tokenization(reader_)),
      input_fingerprint_(read_fingerprint(reader_, "input_fingerprint")),
      counts_(reader_.text_attribute("counts")),
      source_names_(reader_.read_texts("source_names")),
      tokens_(open_tokens(reader_)) {
  columns_ = detail::read_pair_columns(reader_, tokens_.shape()[0], source_names_);
}

PairLengths PreferenceFile::lengths(std::uint64_t row) const {
  return {.num_prompt_tokens = columns_.num_prompt_tokens[row],
          .num_chosen_tokens = columns_.num_chosen_tokens[row],
          .num_rejected_tokens = columns_.num_rejected_tokens[row]};
}

Hash128 PreferenceFile::pair_id(std::uint64_t row) const {
  return {.high = columns_.pair_ids[2 * row], .low = columns_.pair_ids[2 * row + 1]};
}

std::uint64_t PreferenceFile::num_tokens(std::uint64_t row) const {
  return columns_.offsets[row + 1] - columns_.offsets[row];
}

std::vector<std::uint32_t> PreferenceFile::read_tokens(std::uint64_t row) const {
  std::vector<std::uint32_t> tokens;
  read_rows(row, row, tokens);
  require_pair_id(row, tokens);
  return tokens;
}

void PreferenceFile::scan_tokens(std::span<const std::uint64_t> rows, std::int64_t vocab_size) const {
  constexpr std::uint64_t kBlockTokens = 1U << 20U;
  std::vector<std::uint32_t> block;
  for (std::size_t first = 0; first < rows.size();) {
    // A block is a run of neighbouring rows, and at least one.
    std::size_t last = first;
    std::uint64_t size = num_tokens(rows[first]);
    while (last + 1 < rows.size() && rows[last + 1] == rows[last] + 1 && size < kBlockTokens) {
      size += num_tokens(rows[++last]);
    }
    read_rows(rows[first], rows[last], block);
    std::span<const std::uint32_t> rest(block);
    for (; first <= last; ++first) {
      const auto tokens = rest.first(num_tokens(rows[first]));
      require_vocabulary(rows[first], tokens, vocab_size);
      require_pair_id(rows[first], tokens);
      rest = rest.subspan(tokens.size());
    }
  }
}

void PreferenceFile::read_rows(std::uint64_t first_row, std::uint64_t last_row,
                               std::vector<std::uint32_t>& tokens) const {
  const std::uint64_t begin = columns_.offsets[first_row];
  tokens.resize(columns_.offsets[last_row + 1] - begin);
  tokens_.read_range<std::uint32_t>(begin, tokens);
}

void PreferenceFile::require_pair_id(std::uint64_t row, std::span<const std::uint32_t> tokens) const {
  const Hash128 found = hash_pair(lengths(row), tokens);
  if (found == pair_id(row)) return;
  throw InputError(fmt::format("{}: pair {}: pair_id {}: its tokens hash to {}: the file is damaged or badly made",
                               path(), row, pair_id(row).hex(), found.hex()));
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
