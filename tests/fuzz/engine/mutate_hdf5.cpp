#include "fuzz/engine/mutate_hdf5.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include <hdf5.h>

#include "collimate/io/hdf5.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/scratch.hpp"

namespace collimate::fuzz {

namespace {

Hdf5Handle any_type(Dice& dice) {
  const std::array<hid_t, 9> types{H5T_NATIVE_UINT16, H5T_NATIVE_UINT32, H5T_NATIVE_UINT64,
                                   H5T_NATIVE_INT64,  H5T_NATIVE_FLOAT,  H5T_NATIVE_DOUBLE,
                                   H5T_STD_I8BE,      H5T_IEEE_F64BE,    H5T_C_S1};
  const hid_t chosen = types[dice.below(types.size())];
  Hdf5Handle type(H5Tcopy(chosen));
  if (chosen == H5T_C_S1) {
    constexpr std::size_t kMostLetters = 40;
    H5Tset_size(type.get(), dice.one_in(4) ? H5T_VARIABLE : 1 + dice.below(kMostLetters));
  }
  return type;
}

/// Up to 1024 elements, or a shape that says more.
std::vector<hsize_t> any_shape(Dice& dice) {
  std::vector<hsize_t> shape(1 + dice.below(3));
  for (hsize_t& size : shape) size = dice.below(10);
  if (dice.one_in(3)) shape[0] = std::min<std::uint64_t>(odd_number(dice), std::uint64_t{1} << 60U);
  return shape;
}

std::string any_values(std::size_t num_bytes, Dice& dice) {
  std::string values(num_bytes, '\0');
  for (std::size_t i = 0; i + 8 <= num_bytes; i += 8) {
    const std::uint64_t number = odd_number(dice);
    std::copy_n(reinterpret_cast<const char*>(&number), sizeof(number), values.data() + i);
  }
  return values;
}

void write_values(hid_t type, std::size_t num_elements, bool is_attribute, hid_t object, Dice& dice) {
  constexpr std::size_t kMostBytes = 1U << 16U;
  const std::size_t num_bytes = num_elements * H5Tget_size(type);
  if (num_elements == 0 || num_elements > kMostBytes || num_bytes > kMostBytes || H5Tis_variable_str(type) > 0) return;
  const std::string values = any_values(num_bytes, dice);
  if (is_attribute) {
    H5Awrite(object, type, values.data());
  } else {
    H5Dwrite(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  }
}

std::size_t num_elements_of(const std::vector<hsize_t>& shape) {
  std::size_t count = 1;
  for (const hsize_t size : shape) count = size > 0 && count > SIZE_MAX / size ? SIZE_MAX : count * size;
  return count;
}

Hdf5Handle any_properties(const std::vector<hsize_t>& shape, Dice& dice) {
  Hdf5Handle properties(H5Pcreate(H5P_DATASET_CREATE));
  if (dice.one_in(4)) return properties;
  std::vector<hsize_t> chunk(shape.size());
  for (std::size_t i = 0; i < shape.size(); ++i) chunk[i] = std::clamp<hsize_t>(shape[i], 1, 1U << dice.below(32));
  H5Pset_chunk(properties.get(), static_cast<int>(chunk.size()), chunk.data());
  if (dice.one_in(3)) H5Pset_deflate(properties.get(), 1);
  if (dice.one_in(3)) H5Pset_fletcher32(properties.get());
  if (dice.one_in(6)) H5Pset_nbit(properties.get());
  return properties;
}

void replace_dataset(hid_t file, const std::string& name, Dice& dice) {
  H5Ldelete(file, name.c_str(), H5P_DEFAULT);
  if (dice.one_in(6)) return;
  const std::vector<hsize_t> shape = any_shape(dice);
  const Hdf5Handle type = any_type(dice);
  const Hdf5Handle space(H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr));
  const Hdf5Handle properties = any_properties(shape, dice);
  const Hdf5Handle dataset(
      H5Dcreate2(file, name.c_str(), type.get(), space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT));
  if (dataset && !dice.one_in(4)) write_values(type.get(), num_elements_of(shape), false, dataset.get(), dice);
}

/// Other values of the same type and shape.
void refill_dataset(hid_t file, const std::string& name, Dice& dice) {
  const Hdf5Handle dataset(H5Dopen2(file, name.c_str(), H5P_DEFAULT));
  const Hdf5Handle type(H5Dget_type(dataset.get()));
  const Hdf5Handle space(H5Dget_space(dataset.get()));
  const auto count = H5Sget_simple_extent_npoints(space.get());
  const std::size_t width = H5Tget_size(type.get());
  if (count <= 0 || count > 1024 || H5Tis_variable_str(type.get()) > 0) return;
  std::string values(static_cast<std::size_t>(count) * width, '\0');
  H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
  overwrite_bytes(values, 0, values.size(), dice);
  H5Dwrite(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data());
}

void replace_attribute(hid_t file, const std::string& name, Dice& dice) {
  H5Adelete(file, name.c_str());
  if (dice.one_in(6)) return;
  const Hdf5Handle type = any_type(dice);
  const hsize_t count = dice.below(4);
  const Hdf5Handle space(dice.one_in(3) ? H5Screate_simple(1, &count, nullptr) : H5Screate(H5S_SCALAR));
  const Hdf5Handle attribute(H5Acreate2(file, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT));
  const auto num_elements = H5Sget_simple_extent_npoints(space.get());
  if (attribute) write_values(type.get(), static_cast<std::size_t>(num_elements), true, attribute.get(), dice);
}

herr_t keep_link(hid_t /*group*/, const char* name, const H5L_info_t* /*info*/, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

herr_t keep_attribute(hid_t /*object*/, const char* name, const H5A_info_t* /*info*/, void* names) {
  static_cast<std::vector<std::string>*>(names)->emplace_back(name);
  return 0;
}

void change_file(hid_t file, Dice& dice) {
  std::vector<std::string> datasets;
  std::vector<std::string> attributes;
  H5Literate(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, keep_link, &datasets);
  H5Aiterate2(file, H5_INDEX_NAME, H5_ITER_INC, nullptr, keep_attribute, &attributes);
  if (datasets.empty() || attributes.empty()) return;
  if (dice.one_in(4)) {
    replace_attribute(file, dice.pick(attributes), dice);
  } else if (dice.one_in(3)) {
    replace_dataset(file, dice.pick(datasets), dice);
  } else {
    refill_dataset(file, dice.pick(datasets), dice);
  }
}

}  // namespace

std::string mutate_hdf5(std::string input, const std::vector<std::string>& good, Dice& dice) {
  if (dice.one_in(2)) return mutate_bytes(std::move(input), dice);
  const std::filesystem::path path = scratch() / "changed.h5";
  write_bytes(path, dice.pick(good));
  const Hdf5Handle access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110);
  {
    const Hdf5Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, access.get()));
    do change_file(file.get(), dice);
    while (!dice.one_in(3));
  }
  return read_bytes(path);
}

}  // namespace collimate::fuzz
