#include "collimate/store/reference_store.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

void require_finite(const ReferenceRow& row) {
  const auto require = [&row](double value) {
    if (std::isfinite(value)) return;
    throw Error(fmt::format("the reference log-prob of pair {} is {}, which is not finite", row.pair_id.hex(), value));
  };
  for (const double value :
       {row.chosen_logps, row.rejected_logps, row.chosen_common_logps, row.rejected_common_logps}) {
    require(value);
  }
  for (const float value : row.token_logps) require(value);
}

}  // namespace

ReferenceStore::ReferenceStore(ReferenceIdentity identity, std::vector<ReferenceRow> rows, ReferenceForm form)
    : identity_(std::move(identity)), rows_(std::move(rows)), form_(form) {
  std::ranges::sort(rows_, {}, &ReferenceRow::pair_id);
  check(std::ranges::adjacent_find(rows_, {}, &ReferenceRow::pair_id) == rows_.end(), "a pair has one reference row");
  for (const ReferenceRow& row : rows_) require_finite(row);
}

std::optional<ReferenceRow> ReferenceStore::find(Hash128 pair_id) const {
  const auto found = std::ranges::lower_bound(rows_, pair_id, {}, &ReferenceRow::pair_id);
  if (found == rows_.end() || found->pair_id != pair_id) return std::nullopt;
  return *found;
}

std::vector<Hash128> ReferenceStore::missing(std::span<const Hash128> pair_ids) const {
  std::vector<Hash128> missing;
  std::set<Hash128> seen;
  for (const Hash128& pair_id : pair_ids) {
    if (!find(pair_id) && seen.insert(pair_id).second) missing.push_back(pair_id);
  }
  return missing;
}

void require_same_identity(const ReferenceIdentity& stored, const ReferenceIdentity& needed,
                           const std::string& store_path) {
  std::string differences;
  const auto compare = [&](std::string_view what, const auto& in_store, const auto& in_run) {
    if (in_store == in_run) return;
    differences += fmt::format("\n  {}: the store has {}, this run has {}", what, in_store, in_run);
  };
  const Tokenization& left = stored.tokenization;
  const Tokenization& right = needed.tokenization;
  compare("weights_fingerprint", stored.weights_fingerprint, needed.weights_fingerprint);
  compare("model_config_fingerprint", stored.model_config_fingerprint, needed.model_config_fingerprint);
  compare("tokenizer_fingerprint", left.tokenizer_fingerprint, right.tokenizer_fingerprint);
  compare("chat_template_fingerprint", left.chat_template_fingerprint, right.chat_template_fingerprint);
  compare("overlong", left.overlong, right.overlong);
  compare("max_length", left.max_length, right.max_length);
  compare("vocab_size", left.vocab_size, right.vocab_size);
  compare("dtype", enum_name(stored.dtype), enum_name(needed.dtype));
  if (differences.empty()) return;
  throw InputError(
      fmt::format("{}: the reference store belongs to another model or data set:{}\n  give reference.store "
                  "another path and run `collimate reference` to make a store for this run",
                  store_path, differences));
}

void require_token_values(const ReferenceForm& stored, bool is_needed, const std::string& store_path) {
  if (!is_needed || stored.per_token) return;
  throw InputError(
      fmt::format("{}: the reference store has no values of single tokens, which reference.per_token: true asks for; "
                  "give reference.store another path and run `collimate reference` to make a store that has them",
                  store_path));
}

}  // namespace collimate
