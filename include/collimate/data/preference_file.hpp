#pragma once
// One preference file (docs/formats.md), opened strictly: when the constructor returns, everything but the tokens has
// been checked, and the tokens are checked as they are read. PreferenceDataset is the sequence that a run sees.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/config/enum_names.hpp"
#include "collimate/data/pair.hpp"
#include "collimate/data/tokenization.hpp"
#include "collimate/io/hdf5.hpp"

namespace collimate {

/// Which tokens of its responses a preference file labels: all of them, or those that the assistant wrote.
enum class LabelledTokens { kAll, kAssistant };

template <>
inline constexpr auto enum_names<LabelledTokens> =
    std::to_array<EnumName<LabelledTokens>>({{LabelledTokens::kAll, "all"}, {LabelledTokens::kAssistant, "assistant"}});

/// The columns of a preference file, one entry a pair (row); `offsets` has one more.
struct PairColumns {
  std::vector<std::uint64_t> offsets;
  std::vector<std::uint32_t> num_prompt_tokens, num_chosen_tokens, num_rejected_tokens;
  /// Empty in a file that labels all tokens.
  std::vector<std::uint32_t> num_labelled_chosen_tokens, num_labelled_rejected_tokens;
  std::vector<float> labels, weights;
  std::vector<std::uint16_t> sources;
  std::vector<std::uint64_t> pair_ids;  ///< [rows, 2]: high, low
};

/// A preference file open for reading, its columns in memory. Move-only. *Local.* Whatever is wrong with the file is an
/// InputError that names file, place, value and what would be right; all wrong pairs are counted at once.
class PreferenceFile {
 public:
  static constexpr const char* kFormat = "collimate.preferences";
  static constexpr std::int64_t kFormatVersion = 2;

  explicit PreferenceFile(std::string path);

  [[nodiscard]] const std::string& path() const noexcept { return reader_.path(); }
  [[nodiscard]] std::uint64_t num_pairs() const noexcept { return columns_.labels.size(); }
  [[nodiscard]] std::uint64_t num_tokens() const noexcept { return columns_.offsets.back(); }
  [[nodiscard]] LabelledTokens labelled() const noexcept { return labelled_; }
  [[nodiscard]] const Tokenization& tokenization() const noexcept { return tokenization_; }
  /// JSON text: pairs read, written, dropped and cut by reason, as the tokenizing tool counted them.
  [[nodiscard]] const std::string& counts() const noexcept { return counts_; }
  [[nodiscard]] const std::vector<std::string>& source_names() const noexcept { return source_names_; }

  [[nodiscard]] PairLengths lengths(std::uint64_t row) const;
  /// Probability that the chosen response is the better one, in [0, 1].
  [[nodiscard]] float label(std::uint64_t row) const { return columns_.labels[row]; }
  [[nodiscard]] float weight(std::uint64_t row) const { return columns_.weights[row]; }
  [[nodiscard]] Hash128 pair_id(std::uint64_t row) const;

  /// Reads one pair's tokens and labels; its pair_index is the row. Throws InputError when bytes are damaged, labels
  /// differ from their counts, or the pair does not give its id.
  [[nodiscard]] PairTokens read_pair(std::uint64_t row) const;

  /// Reads the tokens and labels of ascending `rows` in large blocks; checks each pair as read_pair() does, and each
  /// token id against `vocab_size`.
  void scan_tokens(std::span<const std::uint64_t> rows, std::int64_t vocab_size) const;

 private:
  [[nodiscard]] std::uint64_t num_tokens(std::uint64_t row) const;
  /// `tokens` and `is_labelled` are those of [first_row, last_row]; the latter stays empty where all are labelled.
  void read_rows(std::uint64_t first_row, std::uint64_t last_row, std::vector<std::uint32_t>& tokens,
                 std::vector<std::uint8_t>& is_labelled) const;
  void require_pair(std::uint64_t row, std::span<const std::uint32_t> tokens,
                    std::span<const std::uint8_t> is_labelled) const;
  void require_vocabulary(std::uint64_t row, std::span<const std::uint32_t> tokens, std::int64_t vocab_size) const;

  Hdf5Reader reader_;
  LabelledTokens labelled_;
  Tokenization tokenization_;
  std::string counts_;
  std::vector<std::string> source_names_;
  PairColumns columns_;
  Hdf5Dataset tokens_;
  std::optional<Hdf5Dataset> is_labelled_;  ///< unless all tokens are
};

}  // namespace collimate
