#include <ATen/cuda/CUDAContextLight.h>

#include "collimate/engine/device_peak.hpp"

namespace collimate {

std::string gpu_name(c10::Device device) {
  return device.is_cuda() ? static_cast<const char*>(at::cuda::getDeviceProperties(device.index())->name) : "";
}

}  // namespace collimate
