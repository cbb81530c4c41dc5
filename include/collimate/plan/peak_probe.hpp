#pragma once
// The product that the denominator of `mfu` is measured with. Pure.

#include <cstdint>

namespace collimate {

/// Rows and columns of either factor, on a CPU and on a GPU, where a small product measures its launch.
inline constexpr std::int64_t kPeakProbeSize = 1024;
inline constexpr std::int64_t kGpuPeakProbeSize = 8192;

/// Bytes of both and the product.
constexpr std::int64_t peak_probe_bytes(std::int64_t element_bytes) {
  return 3 * kPeakProbeSize * kPeakProbeSize * element_bytes;
}

}  // namespace collimate
