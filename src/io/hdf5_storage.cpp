#include "hdf5_storage.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include <fmt/ranges.h>

#include "hdf5_call.hpp"

namespace collimate::detail {

namespace {

/// How many times larger than their stored bytes the values of a dataset can be; nullopt where a filter is none that
/// the project's files, or those of h5py's usual compression, have.
std::optional<std::uint64_t> find_growth(const std::string& place, hid_t properties) {
  constexpr std::uint64_t kDeflateGrowth = 1032;  // of a stream of zeros
  std::uint64_t growth = 1;
  const int num_filters = read_call(place, [&] { return H5Pget_nfilters(properties); });
  for (int i = 0; i < num_filters; ++i) {
    std::size_t num_values = 0;
    const auto filter = read_call(place, [&] {
      return static_cast<int>(
          H5Pget_filter2(properties, static_cast<unsigned>(i), nullptr, &num_values, nullptr, 0, nullptr, nullptr));
    });
    if (filter == H5Z_FILTER_DEFLATE) {
      growth *= kDeflateGrowth;
    } else if (filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32) {
      return std::nullopt;
    }
    if (growth > kDeflateGrowth) return std::nullopt;
  }
  return growth;
}

/// The product of `sizes` and `element_bytes`; nullopt beyond 63 bits.
std::optional<std::uint64_t> find_bytes(std::span<const std::uint64_t> sizes, std::uint64_t element_bytes) {
  std::int64_t bytes = 0;
  if (__builtin_add_overflow(element_bytes, 0, &bytes)) return std::nullopt;
  for (const std::uint64_t size : sizes) {
    if (__builtin_mul_overflow(bytes, size, &bytes)) return std::nullopt;
  }
  return static_cast<std::uint64_t>(bytes);
}

std::vector<std::uint64_t> chunk_of(const std::string& place, hid_t properties, std::size_t num_dims) {
  const auto layout = read_call(place, [&] { return static_cast<int>(H5Pget_layout(properties)); });
  if (layout != H5D_CHUNKED && layout != H5D_CONTIGUOUS) {
    throw InputError(fmt::format("{}: is stored neither in chunks nor in one piece", place));
  }
  if (layout == H5D_CONTIGUOUS) return {};
  std::vector<hsize_t> sizes(num_dims);
  read_call(place, [&] { return H5Pget_chunk(properties, static_cast<int>(num_dims), sizes.data()); });
  return {sizes.begin(), sizes.end()};
}

std::uint64_t file_bytes(const std::string& place, hid_t object) {
  const Hdf5Handle file = read_handle(place, [&] { return H5Iget_file_id(object); });
  hsize_t bytes = 0;
  read_call(place, [&] { return H5Fget_filesize(file.get(), &bytes); });
  return bytes;
}

/// Of a dataset; no more than the whole file has, since a header may say so and several chunks may lie in one place.
std::uint64_t stored_bytes(const std::string& place, hid_t dataset) {
  const auto bytes = read_call(place, [&] { return static_cast<hssize_t>(H5Dget_storage_size(dataset)); });
  return std::min(static_cast<std::uint64_t>(bytes), file_bytes(place, dataset));
}

/// What is not written is not stored, and reads as zeros.
void require_all_chunks(const std::string& place, hid_t dataset, std::span<const std::uint64_t> shape,
                        std::span<const std::uint64_t> chunk) {
  std::vector<std::uint64_t> counts;
  for (std::size_t dim = 0; dim < chunk.size(); ++dim) counts.push_back((shape[dim] - 1) / chunk[dim] + 1);
  const auto wanted = find_bytes(counts, 1);
  hsize_t stored = 0;
  const Hdf5Handle space = read_handle(place, [&] { return H5Dget_space(dataset); });
  read_call(place, [&] { return H5Dget_num_chunks(dataset, space.get(), &stored); });
  if (wanted == stored) return;
  throw InputError(fmt::format("{}: has shape [{}] in chunks of [{}], but only {} chunks are stored of it", place,
                               fmt::join(shape, ", "), fmt::join(chunk, ", "), stored));
}

}  // namespace

void require_stored(const std::string& place, hid_t dataset, std::span<const std::uint64_t> shape, hid_t type) {
  const Hdf5Handle properties = read_handle(place, [&] { return H5Dget_create_plist(dataset); });
  if (read_call(place, [&] { return H5Pget_external_count(properties.get()); }) > 0) {
    throw InputError(fmt::format("{}: has its values in another file", place));
  }
  const auto element =
      static_cast<std::uint64_t>(read_call(place, [&] { return static_cast<hssize_t>(H5Tget_size(type)); }));
  const auto growth = find_growth(place, properties.get());
  if (!growth) throw InputError(fmt::format("{}: has filters other than deflate, shuffle and fletcher32", place));
  const auto bytes = find_bytes(shape, element);
  if (bytes == 0) return;
  const std::uint64_t stored = stored_bytes(place, dataset);
  const auto chunk = chunk_of(place, properties.get(), shape.size());
  const auto chunk_bytes = chunk.empty() ? 0 : find_bytes(chunk, element);
  const auto fits = [&](std::optional<std::uint64_t> wanted) { return wanted && *wanted / *growth <= stored; };
  if (!fits(bytes) || !fits(chunk_bytes)) {
    throw InputError(
        fmt::format("{}: has shape [{}], but only {} bytes are stored of it", place, fmt::join(shape, ", "), stored));
  }
  if (!chunk.empty()) require_all_chunks(place, dataset, shape, chunk);
}

void require_stored_text(const std::string& place, hid_t attribute, hid_t type) {
  const auto width =
      static_cast<std::uint64_t>(read_call(place, [&] { return static_cast<hssize_t>(H5Tget_size(type)); }));
  if (width <= file_bytes(place, attribute)) return;
  throw InputError(fmt::format("{}: says that it has {} bytes, more than the file", place, width));
}

}  // namespace collimate::detail
