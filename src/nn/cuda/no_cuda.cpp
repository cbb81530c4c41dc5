#include "../device_kernels.hpp"

namespace collimate::detail {

const DeviceKernels* cuda_kernels() { return nullptr; }

}  // namespace collimate::detail
