#pragma once
// What a dataset has on the disk, against what its header says. Private to src/io.

#include <cstdint>
#include <span>
#include <string>

#include <hdf5.h>

namespace collimate::detail {

/// Demands that the values of a dataset, and its chunks, are no larger than their stored bytes can fill, so that no
/// room is made on a header's word, and nobody takes a dataset that was never written for zeros. *Local.* `shape` and
/// `type` are the dataset's. Throws InputError with `place`, also for filters that may fill any room, and for values in
/// other files.
void require_stored(const std::string& place, hid_t dataset, std::span<const std::uint64_t> shape, hid_t type);

/// The same for an attribute's text, of fixed length `type`: no longer than the file.
void require_stored_text(const std::string& place, hid_t attribute, hid_t type);

}  // namespace collimate::detail
