#pragma once
// The pairs of a run: one or more preference files (docs/formats.md) as one indexed sequence. What planning needs stays
// in memory, under 64 bytes a pair; tokens and their labels are read when asked for, so memory is flat in the size of
// the data.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/data/config.hpp"
#include "collimate/data/pair.hpp"
#include "collimate/data/sampler.hpp"
#include "collimate/data/tokenization.hpp"

namespace collimate {

class PreferenceFile;

/// Preference pairs in file order, the sources of the configuration one after the other. Move-only; owns its open
/// files. *Local* throughout: every rank opens the same files and sees the same sequence.
class PreferenceDataset {
 public:
  /// Opens and checks everything but the tokens themselves (see scan_tokens). `key` is the configuration's, for
  /// messages: "data.train". Pairs with |2 label - 1| < min_confidence are left out. Throws InputError naming file,
  /// place, value and what would be right.
  PreferenceDataset(std::string key, std::span<const DataSource> sources, double min_confidence);
  ~PreferenceDataset();
  PreferenceDataset(PreferenceDataset&&) noexcept;
  PreferenceDataset& operator=(PreferenceDataset&&) noexcept;

  [[nodiscard]] std::uint64_t size() const noexcept { return rows_.size(); }
  [[nodiscard]] PairLengths lengths(std::uint64_t pair_index) const;
  /// Probability that the chosen response is the better one, in [0, 1].
  [[nodiscard]] double label(std::uint64_t pair_index) const;
  /// Weight of the pair in loss and metrics, >= 0.
  [[nodiscard]] double weight(std::uint64_t pair_index) const;
  [[nodiscard]] Hash128 pair_id(std::uint64_t pair_index) const;

  /// Reads the tokens and labels of pairs, in the given order; files are read in ascending order. Throws InputError
  /// where the bytes are damaged (Fletcher32), labels differ from their counts, or a pair does not give its pair_id.
  [[nodiscard]] std::vector<PairTokens> read(std::span<const std::uint64_t> pair_indices) const;
  [[nodiscard]] PairTokens read(std::uint64_t pair_index) const;

  /// Streams over the tokens and labels of pairs [begin, end) and checks each token against `vocab_size` and each pair
  /// as read() does; every stored byte is so checked once when all ranks' ranges cover the data set. Throws InputError
  /// naming file, pair, position, token id and vocabulary size.
  void scan_tokens(std::uint64_t begin, std::uint64_t end, std::int64_t vocab_size) const;

  /// Throws InputError, naming both values, when the files were made with another tokenizer or chat template than those
  /// of the model folder `model_path`. A fingerprint that the folder does not have is not compared.
  void require_tokenizer(const std::string& model_path, const std::optional<Hash128>& tokenizer_fingerprint,
                         const std::optional<Hash128>& chat_template_fingerprint) const;

  /// The same for all files.
  [[nodiscard]] const Tokenization& tokenization() const;
  /// Sizes after filtering, with their repeats, in the order of the indices: what the Sampler takes.
  [[nodiscard]] std::vector<SourceSize> source_sizes() const;
  /// Pairs in the files that min_confidence leaves out.
  [[nodiscard]] std::uint64_t num_filtered_pairs() const { return num_filtered_pairs_; }
  /// Tokens of all pairs, each prompt counted once.
  [[nodiscard]] std::uint64_t num_tokens() const;
  /// Labelled tokens of all responses.
  [[nodiscard]] std::uint64_t num_labelled_tokens() const;
  /// Most tokens of a prompt with one of its responses.
  [[nodiscard]] std::int64_t longest_sequence() const;
  /// Hash of pair ids, labels and weights in order: the identity of what a run trains on.
  [[nodiscard]] Hash128 fingerprint() const;
  /// "FILE: pair N" with the pair's place in its file, for messages.
  [[nodiscard]] std::string describe_pair(std::uint64_t pair_index) const;

 private:
  /// Pairs [first_pair, first_pair + num_pairs) of the data set.
  struct Source {
    std::unique_ptr<PreferenceFile> file;
    double repeat;
    std::uint64_t first_pair;
    std::uint64_t num_pairs;
  };

  void open_files(std::span<const DataSource> sources);
  void keep_confident_pairs(Source& source, double min_confidence);
  void require_weight() const;
  [[nodiscard]] const Source& source_of(std::uint64_t pair_index) const;

  std::string key_;
  std::vector<Source> sources_;
  std::vector<std::uint64_t> rows_;  ///< each pair's row in its source's file
  std::uint64_t num_filtered_pairs_ = 0;
};

/// Pairs of `pairs` whose content (pair_id) also stands in `others`: evaluation pairs that are trained on.
std::uint64_t count_pairs_also_in(const PreferenceDataset& pairs, const PreferenceDataset& others);

}  // namespace collimate
