#include "collimate/io/hdf5.hpp"

#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hdf5.h>

#include "collimate/base/error.hpp"
#include "support/temporary_folder.hpp"
#include "support/throws.hpp"

namespace collimate {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Hdf5Test : public ::testing::Test {
 protected:
  std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  void write_sample(const std::string& name) const {
    Hdf5Writer writer(path(name));
    writer.write_attribute("format", "sample");
    writer.write_attribute("empty", "");
    writer.write_attribute("version", std::int64_t{-3});
    std::vector<std::uint32_t> tokens(200'000);
    std::iota(tokens.begin(), tokens.end(), 7U);
    writer.write("tokens", tokens);
    const std::vector<std::uint64_t> ids{1, 2, 3, 4, 5, 6};
    writer.write<std::uint64_t>("ids", ids, {3, 2});
    writer.write("nothing", std::vector<float>{});
    const std::vector<std::string> names{"a", "", "größer"};
    writer.write_texts("names", names);
    writer.commit();
  }

  TemporaryFolder folder_;
};

TEST_F(Hdf5Test, reads_back_what_was_written) {
  write_sample("a.h5");
  const Hdf5Reader reader(path("a.h5"));
  EXPECT_EQ(reader.text_attribute("format"), "sample");
  EXPECT_EQ(reader.text_attribute("empty"), "");
  EXPECT_EQ(reader.integer_attribute("version"), -3);
  EXPECT_THAT(reader.read<std::uint64_t>("ids", {3, 2}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_TRUE(reader.read<float>("nothing", {0}).empty());
  EXPECT_THAT(reader.read_texts("names"), ElementsAre("a", "", "größer"));
  EXPECT_TRUE(reader.has_dataset("tokens"));
  EXPECT_FALSE(reader.has_dataset("token"));
  EXPECT_TRUE(reader.has_attribute("format"));
  EXPECT_FALSE(reader.has_attribute("tokens"));
}

TEST_F(Hdf5Test, reads_any_range_of_a_dataset_across_chunks) {
  write_sample("a.h5");
  const Hdf5Dataset tokens = Hdf5Reader(path("a.h5")).dataset("tokens");
  for (const std::uint64_t begin : {0UL, 65'530UL, 199'990UL}) {
    std::vector<std::uint32_t> range(10);
    tokens.read_range<std::uint32_t>(begin, range);
    for (std::size_t i = 0; i < range.size(); ++i) EXPECT_EQ(range[i], begin + i + 7);
  }
  std::vector<std::uint32_t> too_many(11);
  EXPECT_THAT([&] { tokens.read_range<std::uint32_t>(199'990, too_many); },
              throws<InputError>(HasSubstr("elements [199990, 200001) asked of shape [200000]")));
}

TEST_F(Hdf5Test, equal_content_gives_equal_bytes) {
  write_sample("a.h5");
  std::this_thread::sleep_for(std::chrono::milliseconds(1100));  // a stored time would differ
  write_sample("b.h5");
  EXPECT_TRUE(read_bytes(path("a.h5")) == read_bytes(path("b.h5")));
}

TEST_F(Hdf5Test, names_file_object_and_both_types_or_shapes_when_they_differ) {
  write_sample("a.h5");
  const Hdf5Reader reader(path("a.h5"));
  EXPECT_THAT([&] { (void)reader.dataset("tokens").read<float>(); },
              throws<InputError>(AllOf(HasSubstr("a.h5: dataset 'tokens': holds uint32, expected float32"))));
  EXPECT_THAT([&] { (void)reader.read<std::uint64_t>("ids", {2, 3}); },
              throws<InputError>(HasSubstr("dataset 'ids': has shape [3, 2], expected [2, 3]")));
  EXPECT_THAT([&] { (void)reader.dataset("names"); }, throws<InputError>(HasSubstr("element type")));
  EXPECT_THAT([&] { (void)reader.read_texts("tokens"); }, throws<InputError>(HasSubstr("holds no text")));
  EXPECT_THAT([&] { (void)reader.dataset("label"); }, throws<InputError>(HasSubstr("has no dataset 'label'")));
  EXPECT_THAT([&] { (void)reader.text_attribute("tokenizer"); },
              throws<InputError>(HasSubstr("has no attribute 'tokenizer'")));
  EXPECT_THAT([&] { (void)reader.text_attribute("version"); }, throws<InputError>(HasSubstr("holds no text")));
  EXPECT_THAT([&] { (void)reader.integer_attribute("format"); }, throws<InputError>(HasSubstr("not an integer")));
}

/// How a dataset that nobody filled, or not to its end, was declared.
struct Declared {
  hsize_t size = 10;
  hsize_t chunk = 0;  ///< 0: in one piece
  bool is_deflated = false;
  hsize_t num_written = 0;  ///< of `size`, from the first one on
  bool is_scale_offset = false;
  bool is_text = false;
};

void declare_dataset(const std::string& path, const Declared& declared) {
  const Hdf5Handle file(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
  const Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE));
  if (declared.chunk > 0) H5Pset_chunk(properties.get(), 1, &declared.chunk);
  if (declared.is_deflated) H5Pset_deflate(properties.get(), 6);
  if (declared.is_scale_offset) H5Pset_scaleoffset(properties.get(), H5Z_SO_INT, 0);
  const Hdf5Handle space(H5Screate_simple(1, &declared.size, nullptr));
  const Hdf5Handle type(H5Tcopy(declared.is_text ? H5T_C_S1 : H5T_NATIVE_UINT64));
  const Hdf5Handle dataset(
      H5Dcreate2(file.get(), "values", type.get(), space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT));
  ASSERT_TRUE(static_cast<bool>(dataset));
  if (declared.num_written == 0) return;
  const std::vector<std::uint64_t> values(declared.num_written, 7);
  const hsize_t begin = 0;
  H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, &begin, nullptr, &declared.num_written, nullptr);
  const Hdf5Handle memory(H5Screate_simple(1, &declared.num_written, nullptr));
  ASSERT_GE(H5Dwrite(dataset.get(), type.get(), memory.get(), space.get(), H5P_DEFAULT, values.data()), 0);
}

TEST_F(Hdf5Test, makes_no_room_for_values_that_are_not_stored) {
  const std::string file = path("declared.h5");
  constexpr hsize_t kHuge = hsize_t{1} << 50U;
  for (const Declared& declared : {Declared{}, Declared{.size = kHuge}, Declared{.size = kHuge, .chunk = 1U << 28U},
                                   Declared{.size = 1U << 28U, .chunk = 1U << 28U}}) {
    declare_dataset(file, declared);
    EXPECT_THAT([&] { (void)Hdf5Reader(file).dataset("values"); },
                throws<InputError>(HasSubstr(
                    fmt::format("dataset 'values': has shape [{}], but only 0 bytes are stored", declared.size))));
  }
  declare_dataset(file, {.size = kHuge, .is_text = true});
  EXPECT_THAT([&] { (void)Hdf5Reader(file).read_texts("values"); }, throws<InputError>(HasSubstr("are stored")));
  declare_dataset(file, {.chunk = 10, .is_scale_offset = true});
  EXPECT_THAT([&] { (void)Hdf5Reader(file).dataset("values"); },
              throws<InputError>(HasSubstr("filters other than deflate, shuffle and fletcher32")));
}

TEST_F(Hdf5Test, takes_no_chunk_that_nobody_wrote_for_zeros) {
  const std::string file = path("declared.h5");
  declare_dataset(file, {.chunk = 10, .is_deflated = true});
  EXPECT_THAT([&] { (void)Hdf5Reader(file).dataset("values"); },
              throws<InputError>(HasSubstr("has shape [10] in chunks of [10], but only 0 chunks are stored of it")));
  for (const bool is_deflated : {false, true}) {
    declare_dataset(file, {.size = 25, .chunk = 10, .is_deflated = is_deflated, .num_written = 20});
    EXPECT_THAT([&] { (void)Hdf5Reader(file).dataset("values"); }, throws<InputError>(HasSubstr("are stored of it")));
    declare_dataset(file, {.size = 25, .chunk = 10, .is_deflated = is_deflated, .num_written = 25});
    EXPECT_THAT(Hdf5Reader(file).read<std::uint64_t>("values", {25}), ::testing::Each(7));
  }
}

TEST_F(Hdf5Test, reads_no_values_from_another_file) {
  write_bytes(path("values.raw"), std::string(80, 'x'));
  {
    const Hdf5Handle file(H5Fcreate(path("external.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    const Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE));
    ASSERT_GE(H5Pset_external(properties.get(), path("values.raw").c_str(), 0, 80), 0);
    const hsize_t size = 10;
    const Hdf5Handle space(H5Screate_simple(1, &size, nullptr));
    const Hdf5Handle dataset(
        H5Dcreate2(file.get(), "values", H5T_NATIVE_UINT64, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT));
    ASSERT_TRUE(static_cast<bool>(dataset));
  }
  EXPECT_THAT([&] { (void)Hdf5Reader(path("external.h5")).dataset("values"); },
              throws<InputError>(HasSubstr("dataset 'values': has its values in another file")));
}

TEST_F(Hdf5Test, makes_no_room_for_an_attribute_that_says_it_is_longer_than_the_file) {
  const std::string file = path("attribute.h5");
  constexpr std::uint32_t kTrue = 37;
  constexpr std::uint32_t kSaid = 1U << 30U;
  {
    const Hdf5Handle made(H5Fcreate(file.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT));
    const Hdf5Handle type(H5Tcopy(H5T_C_S1));
    H5Tset_size(type.get(), kTrue);
    const Hdf5Handle space(H5Screate(H5S_SCALAR));
    const Hdf5Handle attribute(H5Acreate2(made.get(), "format", type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
    ASSERT_GE(H5Awrite(attribute.get(), type.get(), std::string(kTrue, 'x').data()), 0);
  }
  const auto bytes_of = [](std::uint32_t size) {  // of the type's message: class and version, three flags, size
    return std::string("\x13\0\0\0", 4) + std::string(reinterpret_cast<const char*>(&size), sizeof(size));
  };
  std::string bytes = read_bytes(file);
  const std::size_t at = bytes.find(bytes_of(kTrue));
  ASSERT_NE(at, std::string::npos);
  write_bytes(file, bytes.replace(at, bytes_of(kSaid).size(), bytes_of(kSaid)));
  // HDF5 refuses some such files itself; which ones differs by version.
  EXPECT_THAT([&] { (void)Hdf5Reader(file).text_attribute("format"); },
              throws<InputError>(AllOf(HasSubstr("attribute 'format': "),
                                       ::testing::AnyOf(HasSubstr(fmt::format("says that it has {} bytes", kSaid)),
                                                        HasSubstr("data size exceeds buffer size")))));
}

TEST_F(Hdf5Test, refuses_what_is_no_hdf5_file) {
  EXPECT_THAT([&] { Hdf5Reader(path("none.h5")); },
              throws<InputError>(AllOf(HasSubstr("none.h5"), HasSubstr("No such file"))));
  EXPECT_THAT([&] { Hdf5Reader(folder_.path().string()); }, throws<InputError>(HasSubstr("is not a file")));
  std::ofstream(path("text.h5")) << "not HDF5 at all";
  EXPECT_THAT([&] { Hdf5Reader(path("text.h5")); },
              throws<InputError>(AllOf(HasSubstr("text.h5"), HasSubstr("not a readable HDF5 file"))));
}

TEST_F(Hdf5Test, refuses_a_file_cut_at_any_place) {
  write_sample("a.h5");
  const auto bytes = std::filesystem::file_size(path("a.h5"));
  for (const auto kept : {bytes - 1, bytes / 2, std::uintmax_t{100}, std::uintmax_t{0}}) {
    std::filesystem::copy_file(path("a.h5"), path("cut.h5"), std::filesystem::copy_options::overwrite_existing);
    std::filesystem::resize_file(path("cut.h5"), kept);
    EXPECT_THROW(Hdf5Reader(path("cut.h5")), InputError) << kept;
  }
}

TEST_F(Hdf5Test, finds_a_flipped_byte_in_the_data) {
  write_sample("a.h5");
  const auto bytes = std::filesystem::file_size(path("a.h5"));
  flip_byte(path("a.h5"), bytes / 2);
  const Hdf5Reader reader(path("a.h5"));
  EXPECT_THAT([&] { (void)reader.dataset("tokens").read<std::uint32_t>(); },
              throws<InputError>(AllOf(HasSubstr("dataset 'tokens'"), HasSubstr("checksum"))));
}

TEST_F(Hdf5Test, says_where_it_cannot_write) {
  write_bytes(path("file"), "");
  EXPECT_THAT([&] { Hdf5Writer(path("file/a.h5")); },
              throws<InputError>(HasSubstr("file/a.h5: cannot be created: Not a directory")));
}

TEST_F(Hdf5Test, serves_several_threads) {
  write_sample("a.h5");
  std::vector<std::jthread> threads;
  std::atomic<int> num_good = 0;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        const Hdf5Reader reader(path("a.h5"));
        if (reader.read<std::uint32_t>("tokens", {200'000}).back() == 200'006) ++num_good;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(num_good, 200);
}

}  // namespace
}  // namespace collimate
