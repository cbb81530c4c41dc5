#pragma once
// The reference store: what the frozen model says of every pair, scored once, one row a distinct pair. An HDF5 file
// (docs/formats.md) that belongs to one model and one tokenization and to no layout.

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "collimate/base/hash.hpp"
#include "collimate/config/dtype.hpp"
#include "collimate/data/tokenization.hpp"

namespace collimate {

/// Log-probabilities of one pair's responses under the reference model.
struct ReferenceRow {
  Hash128 pair_id;
  double chosen_logps = 0;  ///< Sum over the response's labelled tokens.
  double rejected_logps = 0;
  double chosen_common_logps = 0;  ///< Sum over the first min(num_chosen_tokens, num_rejected_tokens) of them.
  double rejected_common_logps = 0;
  std::uint32_t num_chosen_tokens = 0;  ///< Labelled ones: a store knows of no others.
  std::uint32_t num_rejected_tokens = 0;
  std::vector<float> token_logps;  ///< Of every labelled token, chosen before rejected; empty where they are not kept.

  bool operator==(const ReferenceRow&) const = default;
};

/// What a store's rows depend on. Fingerprints are 32 hexadecimal digits.
struct ReferenceIdentity {
  std::string weights_fingerprint;       ///< ModelSource::weights_fingerprint
  std::string model_config_fingerprint;  ///< ModelSource::config_fingerprint
  Tokenization tokenization;
  ComputeDtype dtype = ComputeDtype::kFloat32;  ///< In which the model was run.

  bool operator==(const ReferenceIdentity&) const = default;
};

/// How the rows were scored when it was done last, and what is kept of them.
struct ReferenceForm {
  std::int64_t microbatch_tokens = 0;  ///< Token budget of a stream: rounding depends on it, meaning does not.
  std::int64_t block_pairs = 0;        ///< Pairs that were packed together: likewise.
  bool per_token = false;              ///< Whether rows have their token_logps.

  bool operator==(const ReferenceForm&) const = default;
};

/// Whether values of single tokens are read, where a store has them.
enum class TokenValues { kSkip, kRead };

/// A store in memory, about 90 bytes a row, and 4 a token that is read; immutable.
class ReferenceStore {
 public:
  /// `rows` in any order. Throws InvariantError for a repeated pair_id, Error naming the pair for a value that is not
  /// finite.
  ReferenceStore(ReferenceIdentity identity, std::vector<ReferenceRow> rows, ReferenceForm form);

  /// Reads and checks a file. *Local.* Throws InputError for a foreign, truncated or damaged file, ids that are
  /// repeated or out of order, values that are not finite, empty responses.
  static ReferenceStore open(const std::string& path, TokenValues tokens = TokenValues::kSkip);
  /// Writes atomically; the same rows, identity and form give the same bytes. *Local.* Throws InputError or Error.
  void write(const std::string& path) const;

  [[nodiscard]] const ReferenceIdentity& identity() const noexcept { return identity_; }
  [[nodiscard]] const ReferenceForm& form() const noexcept { return form_; }
  /// Ascending by pair_id.
  [[nodiscard]] const std::vector<ReferenceRow>& rows() const noexcept { return rows_; }
  [[nodiscard]] std::optional<ReferenceRow> find(Hash128 pair_id) const;
  /// The distinct ids that have no row, in the order of their first place in `pair_ids`.
  [[nodiscard]] std::vector<Hash128> missing(std::span<const Hash128> pair_ids) const;

 private:
  ReferenceIdentity identity_;
  std::vector<ReferenceRow> rows_;
  ReferenceForm form_;
};

/// Throws one InputError that lists every field in which the store at `store_path` differs from what this run needs,
/// with both values, and says what to do.
void require_same_identity(const ReferenceIdentity& stored, const ReferenceIdentity& needed,
                           const std::string& store_path);
/// Throws InputError where a run needs values of single tokens and the store has none.
void require_token_values(const ReferenceForm& stored, bool is_needed, const std::string& store_path);

}  // namespace collimate
