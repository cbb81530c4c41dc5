#pragma once
// The HDF5 form of a reference store (docs/formats.md). Private to src/store.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "collimate/io/hdf5.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate::detail {

/// Identity and form, as root attributes.
void write_reference_header(Hdf5Writer& writer, const ReferenceIdentity& identity, const ReferenceForm& form);

/// Calls `visit(name, member)` for each dataset that has one value a row.
template <class Visit>
void for_each_column(Visit&& visit) {
  visit("chosen_logps", &ReferenceRow::chosen_logps);
  visit("rejected_logps", &ReferenceRow::rejected_logps);
  visit("chosen_common_logps", &ReferenceRow::chosen_common_logps);
  visit("rejected_common_logps", &ReferenceRow::rejected_common_logps);
  visit("num_chosen_tokens", &ReferenceRow::num_chosen_tokens);
  visit("num_rejected_tokens", &ReferenceRow::num_rejected_tokens);
}

/// One value of every row.
template <class T>
std::vector<T> column(std::span<const ReferenceRow> rows, T ReferenceRow::* member) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const ReferenceRow& row : rows) values.push_back(row.*member);
  return values;
}

/// What the datasets "pair_id" (both halves of each) and "token_logps" (of one row after the other) hold of them.
inline constexpr const char* kPairId = "pair_id";
std::vector<std::uint64_t> pair_id_halves(std::span<const ReferenceRow> rows);
inline constexpr const char* kTokenLogps = "token_logps";
std::vector<float> joined_token_logps(std::span<const ReferenceRow> rows);
/// How many values of single tokens these rows have, or would have.
std::uint64_t num_labelled_tokens(std::span<const ReferenceRow> rows);

/// Reads a store's file and checks what it reads; its errors are InputErrors that name file and place.
class ReferenceFile {
 public:
  explicit ReferenceFile(const std::string& path);

  [[nodiscard]] ReferenceIdentity identity() const;
  [[nodiscard]] ReferenceForm form() const;
  /// All rows.
  [[nodiscard]] std::vector<ReferenceRow> rows() const;
  /// Adds their values of single tokens to rows [begin, begin + rows.size()) of those. `all`: the rows of the file.
  void read_tokens(std::span<const ReferenceRow> all, std::uint64_t begin, std::span<ReferenceRow> rows) const;

 private:
  Hdf5Reader reader_;
};

}  // namespace collimate::detail
