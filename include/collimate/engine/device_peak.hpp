#pragma once
// The denominator of `mfu`: what the device reaches in its best case.

#include <string>

#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "collimate/comm/config.hpp"
#include "collimate/config/dtype.hpp"

namespace collimate {

struct DevicePeak {
  double flops = 0;    ///< FLOP/s
  std::string source;  ///< where the number comes from, for the log
};

/// `runtime.peak_flops`, or a GPU's data sheet, or what is measured. *Local.*
DevicePeak device_peak(const RuntimeConfig& config, ComputeDtype dtype, c10::Device device);

/// FLOP/s of a large square matrix product of random numbers, by the routine that the model uses: the best of a few;
/// under 0.2 s on a CPU. *Local.*
double measure_peak_flops(at::ScalarType dtype, c10::Device device);

/// What the driver calls a GPU; "" for a CPU. *Local.*
std::string gpu_name(c10::Device device);

}  // namespace collimate
