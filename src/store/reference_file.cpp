#include "reference_file.hpp"

#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace detail {

namespace {

constexpr const char* kFormat = "collimate.reference";
constexpr std::int64_t kFormatVersion = 2;

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

std::vector<ReferenceRow> read_rows(const Hdf5Reader& reader) {
  const Hdf5Dataset ids = reader.dataset(kPairId);
  if (ids.shape().size() != 2) {
    throw InputError(
        fmt::format("{}: dataset 'pair_id': has {} dims, expected [rows, 2]", reader.path(), ids.shape().size()));
  }
  ids.require_shape({ids.shape()[0], 2});
  const std::vector<std::uint64_t> halves = ids.read<std::uint64_t>();
  std::vector<ReferenceRow> rows(halves.size() / 2);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i].pair_id = {.high = halves[2 * i], .low = halves[2 * i + 1]};
  for_each_column([&](const char* name, auto member) { read_column(reader, name, rows, member); });
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

std::vector<std::uint64_t> pair_id_halves(std::span<const ReferenceRow> rows) {
  std::vector<std::uint64_t> halves;
  halves.reserve(2 * rows.size());
  for (const ReferenceRow& row : rows) halves.insert(halves.end(), {row.pair_id.high, row.pair_id.low});
  return halves;
}

std::vector<float> joined_token_logps(std::span<const ReferenceRow> rows) {
  std::vector<float> values;
  for (const ReferenceRow& row : rows) values.insert(values.end(), row.token_logps.begin(), row.token_logps.end());
  return values;
}

std::uint64_t num_labelled_tokens(std::span<const ReferenceRow> rows) {
  return std::accumulate(rows.begin(), rows.end(), std::uint64_t{0}, [](std::uint64_t sum, const ReferenceRow& row) {
    return sum + row.num_chosen_tokens + row.num_rejected_tokens;
  });
}

void write_reference_header(Hdf5Writer& writer, const ReferenceIdentity& identity, const ReferenceForm& form) {
  writer.write_attribute("format", kFormat);
  writer.write_attribute("format_version", kFormatVersion);
  writer.write_attribute("weights_fingerprint", identity.weights_fingerprint);
  writer.write_attribute("model_config_fingerprint", identity.model_config_fingerprint);
  writer.write_attribute("tokenizer_fingerprint", identity.tokenization.tokenizer_fingerprint);
  writer.write_attribute("chat_template_fingerprint", identity.tokenization.chat_template_fingerprint);
  writer.write_attribute("overlong", identity.tokenization.overlong);
  writer.write_attribute("max_length", identity.tokenization.max_length);
  writer.write_attribute("vocab_size", identity.tokenization.vocab_size);
  writer.write_attribute("dtype", enum_name(identity.dtype));
  writer.write_attribute("microbatch_tokens", form.microbatch_tokens);
  writer.write_attribute("block_pairs", form.block_pairs);
}

ReferenceFile::ReferenceFile(const std::string& path) : reader_(path) { require_format(reader_); }

ReferenceIdentity ReferenceFile::identity() const { return read_identity(reader_); }

ReferenceForm ReferenceFile::form() const {
  return {.microbatch_tokens = reader_.integer_attribute("microbatch_tokens"),
          .block_pairs = reader_.integer_attribute("block_pairs"),
          .per_token = reader_.has_dataset(kTokenLogps)};
}

std::vector<ReferenceRow> ReferenceFile::rows() const {
  std::vector<ReferenceRow> rows = read_rows(reader_);
  require_valid(reader_.path(), rows);
  return rows;
}

void ReferenceFile::read_tokens(std::span<const ReferenceRow> all, std::uint64_t begin,
                                std::span<ReferenceRow> rows) const {
  const Hdf5Dataset values = reader_.dataset(kTokenLogps);
  values.require_shape({num_labelled_tokens(all)});
  std::uint64_t first_token = num_labelled_tokens(all.first(begin));
  for (ReferenceRow& row : rows) {
    row.token_logps.resize(num_labelled_tokens({&row, 1}));
    values.read_range(first_token, std::span(row.token_logps));
    first_token += row.token_logps.size();
    for (const float value : row.token_logps) {
      if (std::isfinite(value)) continue;
      throw InputError(fmt::format("{}: dataset '{}': pair {}: a log-prob is {}; it must be finite", reader_.path(),
                                   kTokenLogps, row.pair_id.hex(), value));
    }
  }
}

}  // namespace detail

ReferenceStore ReferenceStore::open(const std::string& path, TokenValues tokens) {
  const detail::ReferenceFile file(path);
  const ReferenceForm form = file.form();
  std::vector<ReferenceRow> rows = file.rows();
  if (form.per_token && tokens == TokenValues::kRead) file.read_tokens(std::vector(rows), 0, rows);
  return {file.identity(), std::move(rows), form};
}

void ReferenceStore::write(const std::string& path) const {
  Hdf5Writer writer(path);
  detail::write_reference_header(writer, identity_, form_);
  const std::vector<std::uint64_t> halves = detail::pair_id_halves(rows_);
  writer.write<std::uint64_t>(detail::kPairId, halves, {rows_.size(), 2});
  detail::for_each_column([&](const char* name, auto member) { writer.write(name, detail::column(rows_, member)); });
  if (form_.per_token) writer.write(detail::kTokenLogps, detail::joined_token_logps(rows_));
  writer.commit();
}

}  // namespace collimate
