#include "device_kernels.hpp"

#include "aten/aten_kernels.hpp"
#include "cpu/cpu_kernels.hpp"

namespace collimate::detail {

namespace {

constexpr DeviceKernels kAtenKernels{.make_attention = aten::make_attention,
                                     .normalize = aten::normalize,
                                     .normalize_backward = aten::normalize_backward,
                                     .rotate = aten::rotate,
                                     .gate = aten::gate,
                                     .gate_backward = aten::gate_backward,
                                     .logit_statistics = aten::logit_statistics,
                                     .logit_gradient = aten::logit_gradient};

constexpr DeviceKernels kCpuKernels = [] {
  DeviceKernels kernels = kAtenKernels;
  kernels.make_attention = cpu::make_attention;
  kernels.normalize = cpu::normalize;
  kernels.normalize_backward = cpu::normalize_backward;
  kernels.rotate = cpu::rotate;
  return kernels;
}();

}  // namespace

const DeviceKernels& kernels_for(at::Device device) {
  if (device.is_cpu()) return kCpuKernels;
  const DeviceKernels* const own = device.is_cuda() ? cuda_kernels() : nullptr;
  return own == nullptr ? kAtenKernels : *own;
}

}  // namespace collimate::detail
