#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <functional>
#include <numeric>

#include <sys/stat.h>

#include "hdf5_call.hpp"
#include "hdf5_storage.hpp"

namespace collimate {

namespace {

using detail::native_type;
using detail::read_call;
using detail::read_handle;
using detail::type_name;

Hdf5Handle open_file(const std::string& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) throw InputError(fmt::format("{}: {}", path, std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) throw InputError(fmt::format("{}: is not a file; an HDF5 file is expected", path));
  const std::string place = fmt::format("{}: not a readable HDF5 file", path);
  const Hdf5Handle access = read_handle(place, [] { return H5Pcreate(H5P_FILE_ACCESS); });
  // Files appear whole by rename and never change, and some cluster file systems have no locks.
  read_call(place, [&] { return H5Pset_file_locking(access.get(), 0, 1); });
  return read_handle(place, [&] { return H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()); });
}

std::optional<Hdf5Type> find_element_type(const std::string& place, hid_t stored) {
  constexpr std::array kTypes{Hdf5Type::kUint8, Hdf5Type::kUint16,  Hdf5Type::kUint32, Hdf5Type::kUint64,
                              Hdf5Type::kInt64, Hdf5Type::kFloat32, Hdf5Type::kFloat64};
  for (const Hdf5Type type : kTypes) {
    if (read_call(place, [&] { return H5Tequal(stored, native_type(type)); }) > 0) return type;
  }
  return std::nullopt;
}

std::vector<std::uint64_t> shape_of(const std::string& place, hid_t space) {
  const int num_dims = read_call(place, [&] { return H5Sget_simple_extent_ndims(space); });
  std::vector<hsize_t> sizes(static_cast<std::size_t>(num_dims));
  read_call(place, [&] { return H5Sget_simple_extent_dims(space, sizes.data(), nullptr); });
  return {sizes.begin(), sizes.end()};
}

bool is_variable(const std::string& place, hid_t type) {
  return read_call(place, [&] { return H5Tis_variable_str(type); }) > 0;
}

Hdf5Handle text_type(const std::string& place, hid_t stored) {
  if (read_call(place, [&] { return static_cast<int>(H5Tget_class(stored)); }) != H5T_STRING) {
    throw InputError(fmt::format("{}: holds no text", place));
  }
  return read_handle(place, [&] { return H5Tcopy(stored); });
}

/// Reads the strings of an attribute or dataset: `read` fills a buffer of `type`.
std::vector<std::string> read_strings(const std::string& place, hid_t type, hid_t space, std::size_t count,
                                      const std::function<herr_t(void*)>& read) {
  if (is_variable(place, type)) {
    std::vector<char*> pointers(count, nullptr);
    read_call(place, [&] { return read(static_cast<void*>(pointers.data())); });
    std::vector<std::string> texts(count);
    std::ranges::transform(pointers, texts.begin(), [](const char* text) { return text == nullptr ? "" : text; });
    read_call(place, [&] { return H5Dvlen_reclaim(type, space, H5P_DEFAULT, static_cast<void*>(pointers.data())); });
    return texts;
  }
  const auto width =
      static_cast<std::size_t>(read_call(place, [&] { return static_cast<hssize_t>(H5Tget_size(type)); }));
  std::string bytes(width * count, '\0');
  read_call(place, [&] { return read(bytes.data()); });
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) texts.emplace_back(bytes.substr(i * width, width).c_str());
  return texts;
}

Hdf5Handle open_attribute(const std::string& path, const std::string& place, hid_t file, const std::string& name) {
  if (read_call(place, [&] { return H5Aexists(file, name.c_str()); }) == 0) {
    throw InputError(fmt::format("{}: the file has no attribute '{}'", path, name));
  }
  return read_handle(place, [&] { return H5Aopen(file, name.c_str(), H5P_DEFAULT); });
}

void require_scalar(const std::string& place, hid_t attribute) {
  const Hdf5Handle space = read_handle(place, [&] { return H5Aget_space(attribute); });
  const hssize_t count = read_call(place, [&] { return H5Sget_simple_extent_npoints(space.get()); });
  if (count != 1) throw InputError(fmt::format("{}: has {} values, expected one", place, count));
}

}  // namespace

Hdf5Dataset::Hdf5Dataset(std::string place, std::int64_t file, const std::string& name)
    : place_(std::move(place)),
      dataset_(read_handle(place_, [&] { return H5Dopen2(file, name.c_str(), H5P_DEFAULT); })) {
  const Hdf5Handle space = read_handle(place_, [&] { return H5Dget_space(dataset_.get()); });
  shape_ = shape_of(place_, space.get());
  const Hdf5Handle stored = read_handle(place_, [&] { return H5Dget_type(dataset_.get()); });
  const auto type = find_element_type(place_, stored.get());
  if (!type) throw InputError(fmt::format("{}: has an element type that is none of ours", place_));
  type_ = *type;
  detail::require_stored(place_, dataset_.get(), shape_, stored.get());
}

std::uint64_t Hdf5Dataset::num_elements() const noexcept {
  return std::accumulate(shape_.begin(), shape_.end(), std::uint64_t{1}, std::multiplies<>());
}

void Hdf5Dataset::require_shape(std::initializer_list<std::uint64_t> expected) const {
  if (std::ranges::equal(shape_, expected)) return;
  throw InputError(
      fmt::format("{}: has shape [{}], expected [{}]", place_, fmt::join(shape_, ", "), fmt::join(expected, ", ")));
}

void Hdf5Dataset::require_type(Hdf5Type wanted) const {
  if (type_ == wanted) return;
  throw InputError(fmt::format("{}: holds {}, expected {}", place_, type_name(type_), type_name(wanted)));
}

void Hdf5Dataset::read_all(Hdf5Type type, void* out) const {
  require_type(type);
  if (num_elements() == 0) return;
  read_call(place_, [&] { return H5Dread(dataset_.get(), native_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, out); });
}

void Hdf5Dataset::read_range(Hdf5Type type, std::uint64_t begin, std::uint64_t count, void* out) const {
  require_type(type);
  if (shape_.size() != 1 || begin > shape_[0] || count > shape_[0] - begin) {
    throw InputError(fmt::format("{}: elements [{}, {}) asked of shape [{}]", place_, begin, begin + count,
                                 fmt::join(shape_, ", ")));
  }
  if (count == 0) return;
  const hsize_t start = begin;
  const hsize_t length = count;
  const Hdf5Handle file_space = read_handle(place_, [&] { return H5Dget_space(dataset_.get()); });
  read_call(place_,
            [&] { return H5Sselect_hyperslab(file_space.get(), H5S_SELECT_SET, &start, nullptr, &length, nullptr); });
  const Hdf5Handle memory_space = read_handle(place_, [&] { return H5Screate_simple(1, &length, nullptr); });
  read_call(place_, [&] {
    return H5Dread(dataset_.get(), native_type(type), memory_space.get(), file_space.get(), H5P_DEFAULT, out);
  });
}

Hdf5Reader::Hdf5Reader(std::string path) : path_(std::move(path)), file_(open_file(path_)) {}

bool Hdf5Reader::has_dataset(const std::string& name) const {
  return read_call(path_, [&] { return H5Lexists(file_.get(), name.c_str(), H5P_DEFAULT); }) > 0;
}

bool Hdf5Reader::has_attribute(const std::string& name) const {
  return read_call(path_, [&] { return H5Aexists(file_.get(), name.c_str()); }) > 0;
}

std::string Hdf5Reader::text_attribute(const std::string& name) const {
  const std::string place = fmt::format("{}: attribute '{}'", path_, name);
  const Hdf5Handle attribute = open_attribute(path_, place, file_.get(), name);
  require_scalar(place, attribute.get());
  const Hdf5Handle stored = read_handle(place, [&] { return H5Aget_type(attribute.get()); });
  const Hdf5Handle type = text_type(place, stored.get());
  detail::require_stored_text(place, attribute.get(), type.get());
  const Hdf5Handle space = read_handle(place, [&] { return H5Aget_space(attribute.get()); });
  return read_strings(place, type.get(), space.get(), 1,
                      [&](void* out) { return H5Aread(attribute.get(), type.get(), out); })
      .front();
}

std::int64_t Hdf5Reader::integer_attribute(const std::string& name) const {
  const std::string place = fmt::format("{}: attribute '{}'", path_, name);
  const Hdf5Handle attribute = open_attribute(path_, place, file_.get(), name);
  require_scalar(place, attribute.get());
  const Hdf5Handle stored = read_handle(place, [&] { return H5Aget_type(attribute.get()); });
  if (read_call(place, [&] { return static_cast<int>(H5Tget_class(stored.get())); }) != H5T_INTEGER) {
    throw InputError(fmt::format("{}: is not an integer", place));
  }
  std::int64_t value = 0;
  read_call(place, [&] { return H5Aread(attribute.get(), H5T_NATIVE_INT64, &value); });
  return value;
}

Hdf5Dataset Hdf5Reader::dataset(const std::string& name) const {
  if (!has_dataset(name)) throw InputError(fmt::format("{}: the file has no dataset '{}'", path_, name));
  return {fmt::format("{}: dataset '{}'", path_, name), file_.get(), name};
}

std::vector<std::string> Hdf5Reader::read_texts(const std::string& name) const {
  if (!has_dataset(name)) throw InputError(fmt::format("{}: the file has no dataset '{}'", path_, name));
  const std::string place = fmt::format("{}: dataset '{}'", path_, name);
  const Hdf5Handle dataset = read_handle(place, [&] { return H5Dopen2(file_.get(), name.c_str(), H5P_DEFAULT); });
  const Hdf5Handle space = read_handle(place, [&] { return H5Dget_space(dataset.get()); });
  const auto shape = shape_of(place, space.get());
  if (shape.size() != 1) throw InputError(fmt::format("{}: has {} dims, expected one", place, shape.size()));
  if (shape[0] == 0) return {};
  const Hdf5Handle stored = read_handle(place, [&] { return H5Dget_type(dataset.get()); });
  const Hdf5Handle type = text_type(place, stored.get());
  detail::require_stored(place, dataset.get(), shape, type.get());
  return read_strings(place, type.get(), space.get(), shape[0], [&](void* out) {
    return H5Dread(dataset.get(), type.get(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
  });
}

}  // namespace collimate
