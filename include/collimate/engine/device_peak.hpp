#pragma once
// The denominator of `mfu`: what the device reaches in its best case.

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace collimate {

/// FLOP/s of a large square matrix product, by the routine that the model uses, on this rank's device: the best of a
/// few; under 0.2 s on a CPU. *Local.*
double measure_peak_flops(at::ScalarType dtype, c10::Device device);

}  // namespace collimate
