// Parallel HDF5: any number of ranks writes the bytes that one process writes.

#include "collimate/io/hdf5_rows.hpp"

#include <array>
#include <filesystem>
#include <numeric>
#include <optional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "collimate/base/shard_range.hpp"
#include "collimate/comm/agreement.hpp"
#include "support/mpi_world.hpp"
#include "support/temporary_folder.hpp"

namespace collimate {
namespace {

using ::testing::ElementsAreArray;

struct RowsCase {
  std::uint64_t num_rows;
  Hdf5Coding coding;
};

std::vector<double> values_of(std::uint64_t num_rows, std::uint64_t seed) {
  std::vector<double> values(num_rows);
  for (std::uint64_t i = 0; i < num_rows; ++i) values[i] = static_cast<double>((i * 7919 + seed) % 1013) / 8;
  return values;
}

std::vector<std::uint64_t> ids_of(std::uint64_t num_rows) {
  std::vector<std::uint64_t> ids(2 * num_rows);
  std::iota(ids.begin(), ids.end(), 5U);
  return ids;
}

template <class T>
std::span<const T> part_of(const std::vector<T>& all, ShardRange rows, std::int64_t width) {
  return std::span(all).subspan(static_cast<std::size_t>(rows.begin * width),
                                static_cast<std::size_t>(rows.length * width));
}

class Hdf5RowsTest : public ::testing::TestWithParam<RowsCase> {
 protected:
  Hdf5RowsTest() {
    if (world_->rank() == 0) folder_.emplace();
    root_ = world_->rank() == 0 ? folder_->path().string() : std::string();
    world_->broadcast_bytes(root_, 0);
  }
  ~Hdf5RowsTest() override { world_->barrier(); }

  // By ranks with as many rows each, or all of them by the last one.
  void write_together(const std::string& path, bool is_divided) const {
    const auto [num_rows, coding] = GetParam();
    std::optional<Hdf5Writer> writer;
    std::string staged;
    run_agreed(*world_, [&, num_rows = num_rows, coding = coding] {
      if (world_->rank() != 0) return;
      writer.emplace(path);
      writer->write_attribute("format", "rows");
      writer->reserve<std::uint64_t>("ids", {num_rows, 2});
      for (const char* name : {"a", "b"}) writer->reserve<double>(name, {num_rows}, coding);
      staged = writer->stage(coding == Hdf5Coding::kCompressed ? 16 * num_rows + 4096 : 0);
    });
    world_->broadcast_bytes(staged, 0);
    const auto size = static_cast<std::int64_t>(num_rows);
    ShardRange own = shard_range(size, world_->size(), world_->rank());
    if (!is_divided) own = world_->rank() + 1 == world_->size() ? ShardRange{0, size} : ShardRange{0, 0};
    Hdf5Rows rows(staged);
    rows.write("ids", static_cast<std::uint64_t>(own.begin), part_of(ids_of(num_rows), own, 2));
    rows.write("a", static_cast<std::uint64_t>(own.begin), part_of(values_of(num_rows, 1), own, 1));
    rows.write("b", static_cast<std::uint64_t>(own.begin), part_of(values_of(num_rows, 2), own, 1));
    rows.close();
    world_->barrier();
    if (writer) writer->commit();
    world_->barrier();
  }

  std::unique_ptr<Communicator> world_ = make_world_group();
  std::optional<TemporaryFolder> folder_;
  std::string root_;
};

TEST_P(Hdf5RowsTest, every_rank_reads_what_all_have_written) {
  const std::uint64_t num_rows = GetParam().num_rows;
  write_together(root_ + "/a.h5", true);
  const Hdf5Reader reader(root_ + "/a.h5");
  EXPECT_EQ(reader.text_attribute("format"), "rows");
  EXPECT_THAT(reader.read<std::uint64_t>("ids", {num_rows, 2}), ElementsAreArray(ids_of(num_rows)));
  EXPECT_THAT(reader.read<double>("a", {num_rows}), ElementsAreArray(values_of(num_rows, 1)));
  EXPECT_THAT(reader.read<double>("b", {num_rows}), ElementsAreArray(values_of(num_rows, 2)));
}

TEST_P(Hdf5RowsTest, bytes_do_not_depend_on_who_writes_which_rows) {
  write_together(root_ + "/divided.h5", true);
  write_together(root_ + "/alone.h5", false);
  EXPECT_TRUE(read_bytes(root_ + "/divided.h5") == read_bytes(root_ + "/alone.h5"));
}

class PlainHdf5RowsTest : public Hdf5RowsTest {};

TEST_P(PlainHdf5RowsTest, bytes_are_those_of_a_file_that_one_process_writes) {
  const std::uint64_t num_rows = GetParam().num_rows;
  write_together(root_ + "/divided.h5", true);
  if (world_->rank() != 0) return;
  Hdf5Writer writer(root_ + "/one.h5");
  writer.write_attribute("format", "rows");
  writer.write<std::uint64_t>("ids", ids_of(num_rows), {num_rows, 2});
  writer.write("a", values_of(num_rows, 1));
  writer.write("b", values_of(num_rows, 2));
  writer.commit();
  EXPECT_TRUE(read_bytes(root_ + "/divided.h5") == read_bytes(root_ + "/one.h5"));
}

// One row; less than a chunk; many chunks, which ranks share.
constexpr std::array kPlainCases{RowsCase{1, Hdf5Coding::kPlain}, RowsCase{360, Hdf5Coding::kPlain},
                                 RowsCase{140'000, Hdf5Coding::kPlain}};
constexpr std::array kCompressedCases{RowsCase{1, Hdf5Coding::kCompressed}, RowsCase{360, Hdf5Coding::kCompressed},
                                      RowsCase{140'000, Hdf5Coding::kCompressed}};

INSTANTIATE_TEST_SUITE_P(Plain, Hdf5RowsTest, ::testing::ValuesIn(kPlainCases));
INSTANTIATE_TEST_SUITE_P(Compressed, Hdf5RowsTest, ::testing::ValuesIn(kCompressedCases));
INSTANTIATE_TEST_SUITE_P(Plain, PlainHdf5RowsTest, ::testing::ValuesIn(kPlainCases));

}  // namespace
}  // namespace collimate
