#include <algorithm>
#include <functional>
#include <memory>
#include <numeric>
#include <vector>

#include "hdf5_call.hpp"
#include "hdf5_image.hpp"

namespace collimate {

namespace {

using detail::native_type;
using detail::write_call;
using detail::write_handle;

/// Chunks of about 256 KiB along the first dim: the unit that a checksum covers and that a range read loads.
std::vector<hsize_t> chunk_shape(const std::vector<hsize_t>& shape, std::size_t element_bytes) {
  constexpr hsize_t kChunkBytes = 1U << 18U;
  std::vector<hsize_t> chunk = shape;
  const hsize_t row_bytes =
      std::accumulate(shape.begin() + 1, shape.end(), hsize_t{element_bytes}, std::multiplies<>());
  chunk[0] = std::clamp<hsize_t>(kChunkBytes / std::max<hsize_t>(row_bytes, 1), 1, std::max<hsize_t>(shape[0], 1));
  return chunk;
}

Hdf5Handle creation_properties(const std::string& place, const std::vector<hsize_t>& chunk, Hdf5Coding coding) {
  Hdf5Handle properties = write_handle(place, [] { return H5Pcreate(H5P_DATASET_CREATE); });
  const hid_t id = properties.get();
  write_call(place, [&] { return H5Pset_chunk(id, static_cast<int>(chunk.size()), chunk.data()); });
  if (coding == Hdf5Coding::kCompressed) {
    constexpr unsigned kDeflateLevel = 4;
    write_call(place, [&] { return H5Pset_shuffle(id); });
    write_call(place, [&] { return H5Pset_deflate(id, kDeflateLevel); });
  }
  write_call(place, [&] { return H5Pset_fletcher32(id); });
  write_call(place, [&] { return H5Pset_obj_track_times(id, false); });
  // The rest of a partly used chunk must not be whatever lay in memory: equal content is equal bytes.
  write_call(place, [&] { return H5Pset_fill_time(id, H5D_FILL_TIME_ALLOC); });
  // All chunks at once: their places then do not depend on who writes which of them when.
  write_call(place, [&] { return H5Pset_alloc_time(id, H5D_ALLOC_TIME_EARLY); });
  return properties;
}

struct Content {
  hid_t type;        ///< both in memory and in the file; an HDF5 constant or an own handle
  const void* data;  ///< null: zeros
  std::vector<hsize_t> shape;
  Hdf5Coding coding = Hdf5Coding::kPlain;
};

void write_values(const std::string& place, hid_t file, const std::string& name, const Content& content) {
  const auto& [type, data, shape, coding] = content;
  const auto element_bytes =
      static_cast<std::size_t>(write_call(place, [&] { return static_cast<hssize_t>(H5Tget_size(content.type)); }));
  const bool is_empty = std::ranges::find(shape, hsize_t{0}) != shape.end();
  // A chunk may not exceed the dataset's greatest size, so that an empty one must be allowed to grow.
  const std::vector<hsize_t> greatest = is_empty ? std::vector<hsize_t>(shape.size(), H5S_UNLIMITED) : shape;
  const Hdf5Handle properties = creation_properties(place, chunk_shape(shape, element_bytes), coding);
  const Hdf5Handle space = write_handle(
      place, [&] { return H5Screate_simple(static_cast<int>(shape.size()), shape.data(), greatest.data()); });
  Hdf5Handle dataset = write_handle(place, [&] {
    return H5Dcreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, properties.get(), H5P_DEFAULT);
  });
  if (!is_empty && data != nullptr) {
    write_call(place, [&] { return H5Dwrite(dataset.get(), type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data); });
  }
  write_call(place, [&] { return H5Dclose(dataset.release()); });  // writes what the chunk cache still holds
}

/// UTF-8 text of `width` bytes, padded with zeros.
Hdf5Handle fixed_text_type(const std::string& place, std::size_t width) {
  Hdf5Handle type = write_handle(place, [] { return H5Tcopy(H5T_C_S1); });
  write_call(place, [&] { return H5Tset_size(type.get(), std::max<std::size_t>(width, 1)); });
  write_call(place, [&] { return H5Tset_strpad(type.get(), H5T_STR_NULLPAD); });
  write_call(place, [&] { return H5Tset_cset(type.get(), H5T_CSET_UTF8); });
  return type;
}

void write_scalar_attribute(const std::string& place, hid_t file, const std::string& name, hid_t type,
                            const void* value) {
  const Hdf5Handle space = write_handle(place, [] { return H5Screate(H5S_SCALAR); });
  const Hdf5Handle attribute =
      write_handle(place, [&] { return H5Acreate2(file, name.c_str(), type, space.get(), H5P_DEFAULT, H5P_DEFAULT); });
  write_call(place, [&] { return H5Awrite(attribute.get(), type, value); });
}

}  // namespace

Hdf5Writer::Hdf5Writer(std::string target)
    : staged_(std::move(target)),
      image_(std::make_unique<std::vector<std::byte>>()),
      file_(detail::create_hdf5_image(staged_.target(), *image_)) {}

void Hdf5Writer::write_attribute(const std::string& name, std::string_view text) {
  const std::string place = fmt::format("{}: attribute '{}'", staged_.target(), name);
  const Hdf5Handle type = fixed_text_type(place, text.size());
  const std::string terminated(text);  // an empty text still needs one readable byte
  write_scalar_attribute(place, file_.get(), name, type.get(), terminated.c_str());
}

void Hdf5Writer::write_attribute(const std::string& name, std::int64_t value) {
  write_scalar_attribute(fmt::format("{}: attribute '{}'", staged_.target(), name), file_.get(), name,
                         write_call(staged_.target(), [] { return native_type(Hdf5Type::kInt64); }), &value);
}

void Hdf5Writer::write_dataset(const std::string& name, Hdf5Type type, Values values,
                               std::initializer_list<std::uint64_t> shape) {
  const std::string place = fmt::format("{}: dataset '{}'", staged_.target(), name);
  check(shape.size() >= 1 &&
            std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>()) == values.num_elements,
        "a dataset's shape covers its values");
  const hid_t native = write_call(place, [&] { return native_type(type); });
  write_values(place, file_.get(), name, {.type = native, .data = values.data, .shape = {shape.begin(), shape.end()}});
}

void Hdf5Writer::write_texts(const std::string& name, std::span<const std::string> texts) {
  const std::string place = fmt::format("{}: dataset '{}'", staged_.target(), name);
  std::size_t width = 1;
  for (const std::string& text : texts) width = std::max(width, text.size());
  std::string padded(width * texts.size(), '\0');
  for (std::size_t i = 0; i < texts.size(); ++i) texts[i].copy(padded.data() + i * width, width);
  const Hdf5Handle type = fixed_text_type(place, width);
  write_values(place, file_.get(), name, {.type = type.get(), .data = padded.data(), .shape = {hsize_t{texts.size()}}});
}

void Hdf5Writer::reserve_dataset(const std::string& name, Hdf5Type type, std::initializer_list<std::uint64_t> shape,
                                 Hdf5Coding coding) {
  const std::string place = fmt::format("{}: dataset '{}'", staged_.target(), name);
  const hid_t native = write_call(place, [&] { return native_type(type); });
  write_values(place, file_.get(), name,
               {.type = native, .data = nullptr, .shape = {shape.begin(), shape.end()}, .coding = coding});
}

std::string Hdf5Writer::stage(std::uint64_t room_bytes) {
  check(static_cast<bool>(file_), "an HDF5 file is written once");
  write_call(staged_.target(), [&] { return H5Fflush(file_.get(), H5F_SCOPE_GLOBAL); });
  write_call(staged_.target(), [&] { return H5Fclose(file_.release()); });
  detail::trim_hdf5_image(*image_);
  staged_.write(*image_);
  staged_.reserve(room_bytes);
  image_.reset();
  return staged_.path();
}

void Hdf5Writer::commit() {
  if (file_) stage();
  staged_.commit();
}

}  // namespace collimate
