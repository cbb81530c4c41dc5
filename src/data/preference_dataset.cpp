#include "collimate/data/preference_dataset.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/problem_list.hpp"
#include "collimate/data/preference_file.hpp"

namespace collimate {

namespace {

/// Labels are float32: 0.9 is stored a little below 0.9, and must still meet a confidence of 0.8.
constexpr double kLabelRounding = 1e-6;

bool is_confident(double label, double min_confidence) {
  return std::abs(2.0 * label - 1.0) + kLabelRounding >= min_confidence;
}

}  // namespace

PreferenceDataset::PreferenceDataset(std::string key, std::span<const DataSource> sources, double min_confidence)
    : key_(std::move(key)) {
  open_files(sources);
  for (const Source& source : sources_) {
    const PreferenceFile& first = *sources_.front().file;
    require_same_tokenization(first.tokenization(), first.path(), source.file->tokenization(), source.file->path());
  }
  for (Source& source : sources_) keep_confident_pairs(source, min_confidence);
  if (size() == 0) {
    throw InputError(fmt::format("{}: data.min_confidence {}: leaves none of the {} pairs; a lower value", key_,
                                 min_confidence, num_filtered_pairs_));
  }
  require_weight();
}

PreferenceDataset::~PreferenceDataset() = default;
PreferenceDataset::PreferenceDataset(PreferenceDataset&&) noexcept = default;
PreferenceDataset& PreferenceDataset::operator=(PreferenceDataset&&) noexcept = default;

void PreferenceDataset::open_files(std::span<const DataSource> sources) {
  if (sources.empty()) throw InputError(fmt::format("{}: no preference file is named; at least one", key_));
  ProblemList problems;
  for (const DataSource& source : sources) {
    try {
      sources_.push_back({.file = std::make_unique<PreferenceFile>(source.path),
                          .repeat = source.repeat,
                          .first_pair = 0,
                          .num_pairs = 0});
    } catch (const InputError& error) {
      const std::string text = error.what();
      problems.add(text.substr(text.starts_with(source.path) ? source.path.size() : 0), text);
    }
  }
  if (!problems.empty()) throw InputError(problems.text("\n").substr(1));
}

void PreferenceDataset::keep_confident_pairs(Source& source, double min_confidence) {
  source.first_pair = size();
  for (std::uint64_t row = 0; row < source.file->num_pairs(); ++row) {
    if (is_confident(source.file->label(row), min_confidence)) rows_.push_back(row);
  }
  source.num_pairs = size() - source.first_pair;
  num_filtered_pairs_ += source.file->num_pairs() - source.num_pairs;
}

void PreferenceDataset::require_weight() const {
  for (std::uint64_t pair = 0; pair < size(); ++pair) {
    if (weight(pair) > 0.0) return;
  }
  throw InputError(fmt::format("{}: {}: weight: 0 for all {} pairs; at least one above 0", key_,
                               sources_.front().file->path(), size()));
}

const PreferenceDataset::Source& PreferenceDataset::source_of(std::uint64_t pair_index) const {
  check(pair_index < size(), "a pair index is below the data set's size");
  const auto next = std::ranges::upper_bound(sources_, pair_index, {}, &Source::first_pair);
  return *std::prev(next);
}

PairLengths PreferenceDataset::lengths(std::uint64_t pair_index) const {
  return source_of(pair_index).file->lengths(rows_[pair_index]);
}

double PreferenceDataset::label(std::uint64_t pair_index) const {
  return double{source_of(pair_index).file->label(rows_[pair_index])};
}

double PreferenceDataset::weight(std::uint64_t pair_index) const {
  return double{source_of(pair_index).file->weight(rows_[pair_index])};
}

Hash128 PreferenceDataset::pair_id(std::uint64_t pair_index) const {
  return source_of(pair_index).file->pair_id(rows_[pair_index]);
}

PairTokens PreferenceDataset::read(std::uint64_t pair_index) const {
  PairTokens pair = source_of(pair_index).file->read_pair(rows_[pair_index]);
  pair.pair_index = pair_index;
  return pair;
}

std::vector<PairTokens> PreferenceDataset::read(std::span<const std::uint64_t> pair_indices) const {
  std::vector<std::size_t> ascending(pair_indices.size());
  std::iota(ascending.begin(), ascending.end(), std::size_t{0});
  std::ranges::sort(ascending, {}, [&](std::size_t i) { return pair_indices[i]; });
  std::vector<PairTokens> pairs(pair_indices.size());
  for (const std::size_t i : ascending) pairs[i] = read(pair_indices[i]);
  return pairs;
}

void PreferenceDataset::scan_tokens(std::uint64_t begin, std::uint64_t end, std::int64_t vocab_size) const {
  check(begin <= end && end <= size(), "a range of pairs lies inside the data set");
  for (const Source& source : sources_) {
    const std::uint64_t first = std::max(begin, source.first_pair);
    const std::uint64_t last = std::min(end, source.first_pair + source.num_pairs);
    if (first < last) source.file->scan_tokens(std::span(rows_).subspan(first, last - first), vocab_size);
  }
}

void PreferenceDataset::require_tokenizer(const std::string& model_path,
                                          const std::optional<Hash128>& tokenizer_fingerprint,
                                          const std::optional<Hash128>& chat_template_fingerprint) const {
  std::string differences;
  const auto compare = [&](const char* field, const std::string& of_file, const std::optional<Hash128>& of_model) {
    if (!of_model || of_model->hex() == of_file) return;
    differences += fmt::format("\n  {}: {} against {}", field, of_file, of_model->hex());
  };
  compare("tokenizer_fingerprint", tokenization().tokenizer_fingerprint, tokenizer_fingerprint);
  compare("chat_template_fingerprint", tokenization().chat_template_fingerprint, chat_template_fingerprint);
  if (differences.empty()) return;
  throw InputError(
      fmt::format("{}: {} and the model folder {} do not belong together; tokenize the preferences with this model:{}",
                  key_, sources_.front().file->path(), model_path, differences));
}

const Tokenization& PreferenceDataset::tokenization() const { return sources_.front().file->tokenization(); }

std::vector<SourceSize> PreferenceDataset::source_sizes() const {
  std::vector<SourceSize> sizes;
  sizes.reserve(sources_.size());
  for (const Source& source : sources_) sizes.push_back({.num_pairs = source.num_pairs, .repeat = source.repeat});
  return sizes;
}

std::uint64_t PreferenceDataset::num_tokens() const {
  std::uint64_t sum = 0;
  for (std::uint64_t pair = 0; pair < size(); ++pair) sum += static_cast<std::uint64_t>(lengths(pair).num_tokens());
  return sum;
}

std::uint64_t PreferenceDataset::num_labelled_tokens() const {
  std::int64_t sum = 0;
  for (std::uint64_t pair = 0; pair < size(); ++pair) sum += collimate::num_labelled_tokens(lengths(pair), {});
  return static_cast<std::uint64_t>(sum);
}

std::int64_t PreferenceDataset::longest_sequence() const {
  std::int64_t longest = 0;
  for (std::uint64_t pair = 0; pair < size(); ++pair) {
    longest = std::max(longest, lengths(pair).longest_sequence());
  }
  return longest;
}

Hash128 PreferenceDataset::fingerprint() const {
  StreamingHash hash;
  for (std::uint64_t pair = 0; pair < size(); ++pair) {
    const Hash128 id = pair_id(pair);
    const std::array<std::uint64_t, 2> words{id.high, id.low};
    const std::array<double, 2> values{label(pair), weight(pair)};
    hash.update(std::as_bytes(std::span(words)));
    hash.update(std::as_bytes(std::span(values)));
  }
  return hash.digest();
}

std::string PreferenceDataset::describe_pair(std::uint64_t pair_index) const {
  return fmt::format("{}: pair {}", source_of(pair_index).file->path(), rows_[pair_index]);
}

std::uint64_t count_pairs_also_in(const PreferenceDataset& pairs, const PreferenceDataset& others) {
  std::vector<Hash128> known;
  known.reserve(others.size());
  for (std::uint64_t pair = 0; pair < others.size(); ++pair) known.push_back(others.pair_id(pair));
  std::ranges::sort(known);
  std::uint64_t count = 0;
  for (std::uint64_t pair = 0; pair < pairs.size(); ++pair) {
    if (std::ranges::binary_search(known, pairs.pair_id(pair))) ++count;
  }
  return count;
}

}  // namespace collimate
