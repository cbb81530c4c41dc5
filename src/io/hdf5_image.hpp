#pragma once
// HDF5 files built in memory. HDF5 must never meet a full disk itself: it loses cached chunks without a word then, and
// crashes at the exit of the process. Private to src/io.

#include <cstddef>
#include <string>
#include <vector>

#include "collimate/io/hdf5.hpp"

namespace collimate::detail {

/// Creates a file whose bytes are `image`, complete once the file is closed. `image` must outlive it. `place` is named
/// in messages. Throws Error.
Hdf5Handle create_hdf5_image(const std::string& place, std::vector<std::byte>& image);

/// Cuts off what the file grew by and gave up again; HDF5 itself does so only on disk. The file is closed.
void trim_hdf5_image(std::vector<std::byte>& image);

}  // namespace collimate::detail
