// The HDF5 form of ReferenceStore (docs/formats.md).

#include <cmath>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/io/hdf5.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

namespace {

constexpr const char* kFormat = "collimate.reference";
constexpr std::int64_t kFormatVersion = 1;

/// One value of every row, as a column.
template <class T>
std::vector<T> column(const std::vector<ReferenceRow>& rows, T ReferenceRow::* member) {
  std::vector<T> values;
  values.reserve(rows.size());
  for (const ReferenceRow& row : rows) values.push_back(row.*member);
  return values;
}

template <class T>
void read_column(const Hdf5Reader& reader, const std::string& name, std::vector<ReferenceRow>& rows,
                 T ReferenceRow::* member) {
  const std::vector<T> values = reader.read<T>(name, {rows.size()});
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].*member = values[i];
}

void require_format(const Hdf5Reader& reader) {
  const std::string format = reader.has_attribute("format") ? reader.text_attribute("format") : "none";
  if (format != kFormat) {
    throw InputError(fmt::format("{}: is not a reference store: attribute 'format' is {}, expected {}", reader.path(),
                                 format, kFormat));
  }
  const std::int64_t version = reader.integer_attribute("format_version");
  if (version != kFormatVersion) {
    throw InputError(fmt::format("{}: attribute 'format_version' is {}; this version of collimate reads {}",
                                 reader.path(), version, kFormatVersion));
  }
}

ReferenceIdentity read_identity(const Hdf5Reader& reader) {
  const std::string dtype = reader.text_attribute("dtype");
  const auto known_dtype = find_enum<ComputeDtype>(dtype);
  if (!known_dtype)
    throw InputError(fmt::format("{}: attribute 'dtype' is {}, which is unknown", reader.path(), dtype));
  return {.weights_fingerprint = reader.text_attribute("weights_fingerprint"),
          .model_config_fingerprint = reader.text_attribute("model_config_fingerprint"),
          .tokenization = {.tokenizer_fingerprint = reader.text_attribute("tokenizer_fingerprint"),
                           .chat_template_fingerprint = reader.text_attribute("chat_template_fingerprint"),
                           .overlong = reader.text_attribute("overlong"),
                           .max_length = reader.integer_attribute("max_length"),
                           .vocab_size = reader.integer_attribute("vocab_size")},
          .dtype = *known_dtype};
}

void write_identity(Hdf5Writer& writer, const ReferenceIdentity& identity) {
  writer.write_attribute("weights_fingerprint", identity.weights_fingerprint);
  writer.write_attribute("model_config_fingerprint", identity.model_config_fingerprint);
  writer.write_attribute("tokenizer_fingerprint", identity.tokenization.tokenizer_fingerprint);
  writer.write_attribute("chat_template_fingerprint", identity.tokenization.chat_template_fingerprint);
  writer.write_attribute("overlong", identity.tokenization.overlong);
  writer.write_attribute("max_length", identity.tokenization.max_length);
  writer.write_attribute("vocab_size", identity.tokenization.vocab_size);
  writer.write_attribute("dtype", enum_name(identity.dtype));
}

std::vector<ReferenceRow> read_rows(const Hdf5Reader& reader) {
  const Hdf5Dataset ids = reader.dataset("pair_id");
  if (ids.shape().size() != 2) {
    throw InputError(
        fmt::format("{}: dataset 'pair_id': has {} dims, expected [rows, 2]", reader.path(), ids.shape().size()));
  }
  std::vector<ReferenceRow> rows(ids.shape()[0]);
  ids.require_shape({rows.size(), 2});
  const std::vector<std::uint64_t> halves = ids.read<std::uint64_t>();
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].pair_id = {.high = halves[2 * i], .low = halves[2 * i + 1]};
  read_column(reader, "chosen_logps", rows, &ReferenceRow::chosen_logps);
  read_column(reader, "rejected_logps", rows, &ReferenceRow::rejected_logps);
  read_column(reader, "chosen_common_logps", rows, &ReferenceRow::chosen_common_logps);
  read_column(reader, "rejected_common_logps", rows, &ReferenceRow::rejected_common_logps);
  read_column(reader, "num_chosen_tokens", rows, &ReferenceRow::num_chosen_tokens);
  read_column(reader, "num_rejected_tokens", rows, &ReferenceRow::num_rejected_tokens);
  return rows;
}

void require_valid(const std::string& path, const std::vector<ReferenceRow>& rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const ReferenceRow& row = rows[i];
    const std::string place = fmt::format("{}: row {} (pair {})", path, i, row.pair_id.hex());
    if (i > 0 && rows[i - 1].pair_id >= row.pair_id) {
      throw InputError(fmt::format("{}: does not come after {}; pair ids ascend and are distinct", place,
                                   rows[i - 1].pair_id.hex()));
    }
    for (const double value :
         {row.chosen_logps, row.rejected_logps, row.chosen_common_logps, row.rejected_common_logps}) {
      if (!std::isfinite(value)) throw InputError(fmt::format("{}: a log-prob is {}; it must be finite", place, value));
    }
    if (row.num_chosen_tokens == 0 || row.num_rejected_tokens == 0) {
      throw InputError(fmt::format("{}: a response has 0 tokens; each has at least one", place));
    }
  }
}

}  // namespace

ReferenceStore ReferenceStore::open(const std::string& path) {
  const Hdf5Reader reader(path);
  require_format(reader);
  ReferenceIdentity identity = read_identity(reader);
  std::vector<ReferenceRow> rows = read_rows(reader);
  require_valid(path, rows);
  return {std::move(identity), std::move(rows), reader.integer_attribute("microbatch_tokens")};
}

void ReferenceStore::write(const std::string& path) const {
  Hdf5Writer writer(path);
  writer.write_attribute("format", kFormat);
  writer.write_attribute("format_version", kFormatVersion);
  write_identity(writer, identity_);
  writer.write_attribute("microbatch_tokens", microbatch_tokens_);
  std::vector<std::uint64_t> halves;
  for (const ReferenceRow& row : rows_) halves.insert(halves.end(), {row.pair_id.high, row.pair_id.low});
  writer.write<std::uint64_t>("pair_id", halves, {rows_.size(), 2});
  writer.write("chosen_logps", column(rows_, &ReferenceRow::chosen_logps));
  writer.write("rejected_logps", column(rows_, &ReferenceRow::rejected_logps));
  writer.write("chosen_common_logps", column(rows_, &ReferenceRow::chosen_common_logps));
  writer.write("rejected_common_logps", column(rows_, &ReferenceRow::rejected_common_logps));
  writer.write("num_chosen_tokens", column(rows_, &ReferenceRow::num_chosen_tokens));
  writer.write("num_rejected_tokens", column(rows_, &ReferenceRow::num_rejected_tokens));
  writer.commit();
}

}  // namespace collimate
