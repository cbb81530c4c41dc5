#include "collimate/store/reference_store.hpp"

#include <array>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"
#include "collimate/io/hdf5.hpp"
#include "support/small_disk.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

ReferenceIdentity sample_identity() {
  return {.weights_fingerprint = hash_text("weights").hex(),
          .model_config_fingerprint = hash_text("config").hex(),
          .tokenization = {.tokenizer_fingerprint = hash_text("tokenizer").hex(),
                           .chat_template_fingerprint = hash_text("").hex(),
                           .overlong = "drop",
                           .max_length = 512,
                           .vocab_size = 1000},
          .dtype = ComputeDtype::kFloat64};
}

ReferenceRow sample_row(std::uint64_t n) {
  const double base = -static_cast<double>(n) - 1.0 / 3;
  return {.pair_id = hash_text("pair " + std::to_string(n)),
          .chosen_logps = base,
          .rejected_logps = base * 2,
          .chosen_common_logps = base / 2,
          .rejected_common_logps = base / 4,
          .num_chosen_tokens = static_cast<std::uint32_t>(n + 1),
          .num_rejected_tokens = static_cast<std::uint32_t>(n + 2)};
}

std::vector<ReferenceRow> sample_rows(std::uint64_t begin, std::uint64_t end) {
  std::vector<ReferenceRow> rows;
  for (std::uint64_t n = begin; n < end; ++n) rows.push_back(sample_row(n));
  return rows;
}

constexpr ReferenceForm kForm{.microbatch_tokens = 4096, .block_pairs = 256};

ReferenceStore sample_store(std::uint64_t num_rows = 20) {
  return {sample_identity(), sample_rows(0, num_rows), kForm};
}

class ReferenceStoreTest : public ::testing::Test {
 protected:
  /// A file with these ids and values for all of the columns, and one column replaced.
  void write_raw(const std::vector<std::uint64_t>& halves, double value, std::uint32_t num_tokens,
                 const std::string& left_out = "") const {
    const ReferenceIdentity identity = sample_identity();
    Hdf5Writer writer(path_);
    writer.write_attribute("format", "collimate.reference");
    for (const char* name : {"weights_fingerprint", "model_config_fingerprint", "tokenizer_fingerprint",
                             "chat_template_fingerprint", "overlong"}) {
      writer.write_attribute(name, "x");
    }
    writer.write_attribute("dtype", "float32");
    for (const char* name : {"max_length", "vocab_size", "microbatch_tokens", "block_pairs"}) {
      writer.write_attribute(name, std::int64_t{1});
    }
    writer.write_attribute("format_version", std::int64_t{2});
    writer.write<std::uint64_t>("pair_id", halves, {halves.size() / 2, 2});
    for (const std::string name : {"chosen_logps", "rejected_logps", "chosen_common_logps", "rejected_common_logps"}) {
      if (name != left_out) writer.write(name, std::vector<double>(halves.size() / 2, value));
    }
    for (const char* name : {"num_chosen_tokens", "num_rejected_tokens"}) {
      writer.write(name, std::vector<std::uint32_t>(halves.size() / 2, num_tokens));
    }
    writer.commit();
  }
  template <class Matcher>
  void expect_refused(const Matcher& message) const {
    EXPECT_THAT([&] { (void)ReferenceStore::open(path_); }, throws<InputError>(AllOf(HasSubstr(path_), message)));
  }

  TemporaryFolder folder_;
  std::string path_ = folder_.path() / "reference.h5";
};

TEST_F(ReferenceStoreTest, reads_back_what_was_written) {
  const ReferenceStore store = sample_store();
  store.write(path_);
  const ReferenceStore read = ReferenceStore::open(path_);
  EXPECT_EQ(read.identity(), store.identity());
  EXPECT_EQ(read.rows(), store.rows());
  EXPECT_EQ(read.form(), store.form());
  EXPECT_EQ(read.find(sample_row(7).pair_id), sample_row(7));
  EXPECT_EQ(read.find(hash_text("other")), std::nullopt);
}

TEST_F(ReferenceStoreTest, equal_rows_give_equal_bytes_in_whatever_order) {
  sample_store().write(path_);
  const std::string bytes = read_bytes(path_);
  std::vector<ReferenceRow> rows = sample_rows(0, 20);
  std::ranges::reverse(rows);
  ReferenceStore(sample_identity(), rows, kForm).write(path_);
  EXPECT_TRUE(read_bytes(path_) == bytes);
}

TEST_F(ReferenceStoreTest, an_empty_store_is_a_store) {
  ReferenceStore(sample_identity(), {}, kForm).write(path_);
  EXPECT_THAT(ReferenceStore::open(path_).rows(), IsEmpty());
}

TEST_F(ReferenceStoreTest, names_missing_pairs_once_each) {
  const Hash128 other = hash_text("other");
  const Hash128 another = hash_text("another");
  EXPECT_THAT(sample_store().missing(std::vector{another, sample_row(1).pair_id, other, another}),
              ElementsAre(another, other));
}

TEST_F(ReferenceStoreTest, values_of_single_tokens_are_read_where_they_are_asked_for) {
  std::vector<ReferenceRow> rows = sample_rows(0, 5);
  for (ReferenceRow& row : rows) row.token_logps.assign(row.num_chosen_tokens + row.num_rejected_tokens, -0.25F);
  ReferenceForm form = kForm;
  form.per_token = true;
  const ReferenceStore store(sample_identity(), rows, form);
  store.write(path_);
  EXPECT_EQ(ReferenceStore::open(path_, TokenValues::kRead).rows(), store.rows());
  const ReferenceStore sums = ReferenceStore::open(path_);
  EXPECT_TRUE(sums.form().per_token);
  EXPECT_THAT(sums.rows().front().token_logps, IsEmpty());
  require_token_values(sums.form(), true, path_);
  require_token_values(kForm, false, path_);
  EXPECT_THAT([&] { require_token_values(kForm, true, path_); },
              throws<InputError>(AllOf(HasSubstr(path_), HasSubstr("reference.per_token"))));
}

TEST_F(ReferenceStoreTest, refuses_single_tokens_that_do_not_fit_the_rows) {
  ReferenceRow row = sample_row(1);
  ReferenceForm form = kForm;
  form.per_token = true;
  row.token_logps = {-1.0F, -2.0F};
  ReferenceStore(sample_identity(), {row}, form).write(path_);
  EXPECT_THAT([&] { (void)ReferenceStore::open(path_, TokenValues::kRead); },
              throws<InputError>(AllOf(HasSubstr(path_), HasSubstr("token_logps"))));
  row.token_logps = {-1.0F, -2.0F, std::numeric_limits<float>::infinity(), -1.0F, -1.0F};
  EXPECT_THAT([&] { ReferenceStore(sample_identity(), {row}, form); },
              throws<Error>(AllOf(HasSubstr(row.pair_id.hex()), HasSubstr("inf"))));
}

TEST_F(ReferenceStoreTest, refuses_repeated_pairs_and_values_that_are_not_finite) {
  EXPECT_THROW(ReferenceStore(sample_identity(), {sample_row(1), sample_row(1)}, kForm), InvariantError);
  ReferenceRow row = sample_row(1);
  row.rejected_logps = std::numeric_limits<double>::infinity();
  EXPECT_THAT([&] { ReferenceStore(sample_identity(), {row}, kForm); },
              throws<Error>(AllOf(HasSubstr(row.pair_id.hex()), HasSubstr("inf"))));
}

TEST_F(ReferenceStoreTest, makes_no_room_for_rows_that_are_not_there) {
  sample_store().write(path_);
  {
    const Hdf5Handle file(H5Fopen(path_.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    H5Ldelete(file.get(), "pair_id", H5P_DEFAULT);
    const std::array<hsize_t, 2> shape{hsize_t{1} << 40U, 0};
    const Hdf5Handle space(H5Screate_simple(2, shape.data(), nullptr));
    const Hdf5Handle dataset(
        H5Dcreate2(file.get(), "pair_id", H5T_NATIVE_UINT64, space.get(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    ASSERT_TRUE(static_cast<bool>(dataset));
  }
  EXPECT_THAT([&] { (void)ReferenceStore::open(path_); },
              throws<InputError>(HasSubstr("dataset 'pair_id': has shape [1099511627776, 0]")));
}

TEST_F(ReferenceStoreTest, names_both_values_of_every_difference_and_what_to_do) {
  ReferenceIdentity needed = sample_identity();
  require_same_identity(sample_identity(), needed, path_);
  needed.weights_fingerprint = hash_text("other weights").hex();
  needed.tokenization.max_length = 256;
  needed.dtype = ComputeDtype::kFloat32;
  EXPECT_THAT(
      [&] { require_same_identity(sample_identity(), needed, path_); },
      throws<InputError>(AllOf(HasSubstr(path_),
                               HasSubstr("weights_fingerprint: the store has " + sample_identity().weights_fingerprint +
                                         ", this run has " + needed.weights_fingerprint),
                               HasSubstr("max_length: the store has 512, this run has 256"),
                               HasSubstr("dtype: the store has float64, this run has float32"),
                               HasSubstr("`collimate reference`"), Not(HasSubstr("vocab_size")))));
}

TEST_F(ReferenceStoreTest, refuses_what_is_no_reference_store) {
  expect_refused(HasSubstr("No such file"));
  write_bytes(path_, "text");
  expect_refused(HasSubstr("not a readable HDF5 file"));
  Hdf5Writer preferences(path_);
  preferences.write_attribute("format", "collimate.preferences");
  preferences.commit();
  expect_refused(HasSubstr("attribute 'format' is collimate.preferences, expected collimate.reference"));
  Hdf5Writer foreign(path_);
  foreign.commit();
  expect_refused(HasSubstr("attribute 'format' is none"));
  Hdf5Writer newer(path_);
  newer.write_attribute("format", "collimate.reference");
  newer.write_attribute("format_version", std::int64_t{3});
  newer.commit();
  expect_refused(HasSubstr("'format_version' is 3"));
}

TEST_F(ReferenceStoreTest, refuses_rows_that_are_wrong) {
  write_raw({1, 1, 1, 2}, -1.0, 3);
  EXPECT_EQ(ReferenceStore::open(path_).rows().size(), 2U);
  write_raw({1, 2, 1, 1}, -1.0, 3);
  expect_refused(AllOf(HasSubstr("row 1"), HasSubstr("pair ids ascend and are distinct")));
  write_raw({1, 1, 1, 1}, -1.0, 3);
  expect_refused(HasSubstr("pair ids ascend and are distinct"));
  write_raw({1, 1, 1, 2}, std::numeric_limits<double>::quiet_NaN(), 3);
  expect_refused(AllOf(HasSubstr("row 0"), HasSubstr("a log-prob is nan; it must be finite")));
  write_raw({1, 1, 1, 2}, -1.0, 0);
  expect_refused(HasSubstr("a response has 0 tokens"));
  write_raw({1, 1, 1, 2}, -1.0, 3, "chosen_common_logps");
  expect_refused(HasSubstr("no dataset 'chosen_common_logps'"));
}

TEST_F(ReferenceStoreTest, refuses_a_file_cut_at_any_place) {
  sample_store().write(path_);
  const std::string whole = read_bytes(path_);
  for (std::size_t kept = 0; kept < whole.size(); kept += 97) {
    write_bytes(path_, whole.substr(0, kept));
    EXPECT_THROW((void)ReferenceStore::open(path_), InputError) << kept;
  }
}

TEST_F(ReferenceStoreTest, a_flipped_byte_anywhere_is_an_error_or_changes_nothing) {
  sample_store().write(path_);
  const ReferenceStore store = ReferenceStore::open(path_);
  const std::string whole = read_bytes(path_);
  std::size_t num_refused = 0;
  std::size_t num_tried = 0;
  for (std::size_t place = 0; place < whole.size(); place += 7, ++num_tried) {
    std::string flipped = whole;
    flipped[place] = static_cast<char>(~flipped[place]);
    write_bytes(path_, flipped);
    try {
      const ReferenceStore read = ReferenceStore::open(path_);
      EXPECT_EQ(read.rows(), store.rows()) << place;
      EXPECT_EQ(read.identity(), store.identity()) << place;
    } catch (const InputError&) {
      ++num_refused;
    }
  }
  EXPECT_GT(num_refused, num_tried / 2);
}

TEST_F(ReferenceStoreTest, unwritable_places_are_named_and_keep_what_they_had) {
  write_bytes(folder_.path() / "file", "");
  EXPECT_THAT([&] { sample_store().write(folder_.path() / "file" / "r.h5"); },
              throws<InputError>(HasSubstr("file/r.h5: cannot be created: Not a directory")));
  SmallDisk disk(65536);
  const std::string path = disk.path() / "r.h5";
  sample_store(3).write(path);
  EXPECT_THAT([&] { sample_store(3000).write(path); }, throws<Error>(HasSubstr("No space left on device")));
  EXPECT_EQ(ReferenceStore::open(path).rows().size(), 3U);
  disk.make_read_only();
  EXPECT_THAT([&] { sample_store(3).write(path); }, throws<InputError>(HasSubstr("Read-only file system")));
}

}  // namespace
}  // namespace collimate
