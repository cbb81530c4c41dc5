#pragma once
// Tensors divided so that every share has about as many bytes to read. Private to src/store.

#include <cstddef>
#include <span>
#include <vector>

#include "collimate/io/safetensors.hpp"

namespace collimate::detail {

/// Divides the tensors `tensors[i]` for each i of `chosen`: gives, for each share, places in `chosen`, ascending. A
/// function of the sizes alone; the largest share is larger than the mean by one tensor at most.
std::vector<std::vector<std::size_t>> byte_shares(std::span<const TensorInfo> tensors,
                                                  std::span<const std::size_t> chosen, int num_shares);

}  // namespace collimate::detail
