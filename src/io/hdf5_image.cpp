#include "hdf5_image.hpp"

#include <cstring>
#include <new>

#include "hdf5_call.hpp"

namespace collimate::detail {

namespace {

// The library's file image callbacks, with a vector in the place of malloc and free. See "HDF5 File Image Operations".

void* resize_image(void* /*old*/, std::size_t num_bytes, H5FD_file_image_op_t /*operation*/, void* image) {
  try {
    auto& bytes = *static_cast<std::vector<std::byte>*>(image);
    bytes.resize(num_bytes);
    return bytes.data();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* allocate_image(std::size_t num_bytes, H5FD_file_image_op_t operation, void* image) {
  return resize_image(nullptr, num_bytes, operation, image);
}

void* copy_image(void* to, const void* from, std::size_t num_bytes, H5FD_file_image_op_t /*operation*/,
                 void* /*image*/) {
  return std::memcpy(to, from, num_bytes);
}

/// The vector keeps the bytes when HDF5 closes the file: that is the point.
herr_t keep_image(void* /*bytes*/, H5FD_file_image_op_t /*operation*/, void* /*image*/) { return 0; }
void* share_owner(void* image) { return image; }
herr_t keep_owner(void* /*image*/) { return 0; }

}  // namespace

Hdf5Handle create_hdf5_image(const std::string& place, std::vector<std::byte>& image) {
  // The file's size is rounded up to this; the vector does the growing ahead.
  constexpr std::size_t kGrowthBytes = 1;
  const Hdf5Handle access(hdf5_call<Error>(place, [] { return H5Pcreate(H5P_FILE_ACCESS); }));
  H5FD_file_image_callbacks_t callbacks = {allocate_image, copy_image, resize_image, keep_image,
                                           share_owner,    keep_owner, &image};
  hdf5_call<Error>(place, [&] { return H5Pset_libver_bounds(access.get(), H5F_LIBVER_V110, H5F_LIBVER_V110); });
  hdf5_call<Error>(place, [&] { return H5Pset_file_image_callbacks(access.get(), &callbacks); });
  hdf5_call<Error>(place, [&] { return H5Pset_fapl_core(access.get(), kGrowthBytes, false); });
  const Hdf5Handle creation(hdf5_call<Error>(place, [] { return H5Pcreate(H5P_FILE_CREATE); }));
  hdf5_call<Error>(place, [&] { return H5Pset_obj_track_times(creation.get(), false); });
  return Hdf5Handle(
      hdf5_call<Error>(place, [&] { return H5Fcreate(place.c_str(), H5F_ACC_TRUNC, creation.get(), access.get()); }));
}

void trim_hdf5_image(std::vector<std::byte>& image) {
  // HDF5 File Format Specification 3.0, superblock of versions 2 and 3: signature, version, sizes of addresses and
  // lengths, flags, base address, extension address, end-of-file address.
  constexpr std::size_t kVersionAt = 8;
  constexpr std::size_t kEndAddressAt = 28;
  std::uint64_t end = 0;
  check(image.size() >= kEndAddressAt + sizeof(end) && image[kVersionAt] == std::byte{3} &&
            image[kVersionAt + 1] == std::byte{sizeof(end)},
        "an HDF5 1.10 file has a superblock of version 3 with addresses of 8 bytes");
  std::memcpy(&end, image.data() + kEndAddressAt, sizeof(end));
  check(end <= image.size(), "an HDF5 image is complete");
  image.resize(end);
}

}  // namespace collimate::detail
