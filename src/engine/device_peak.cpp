#include "collimate/engine/device_peak.hpp"

#include <algorithm>
#include <chrono>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>

#include "collimate/engine/build_shard.hpp"
#include "collimate/nn/product.hpp"
#include "collimate/plan/device_peak_table.hpp"
#include "collimate/plan/peak_probe.hpp"

namespace collimate {

double measure_peak_flops(at::ScalarType dtype, c10::Device device) {
  const at::NoGradGuard no_grad;
  const std::int64_t size = device.is_cuda() ? kGpuPeakProbeSize : kPeakProbeSize;
  constexpr int kRepetitions = 4;
  const auto options = at::TensorOptions(device).dtype(dtype);
  const at::Tensor left = at::randn({size, size}, options);
  const at::Tensor right = at::randn({size, size}, options);
  // A number of the result is there when all of it is, also on a device that computes while the host goes on.
  const auto multiply = [&] { return product(left, right).select(0, 0).select(0, 0).item<double>(); };
  multiply();
  double best = 0.0;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    multiply();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(size * size * size) / elapsed.count());
  }
  return best;
}

DevicePeak device_peak(const RuntimeConfig& config, ComputeDtype dtype, c10::Device device) {
  if (config.peak_flops) return {.flops = *config.peak_flops, .source = "runtime.peak_flops"};
  const std::string name = gpu_name(device);
  if (const auto flops = data_sheet_flops(name, dtype)) {
    return {.flops = *flops, .source = fmt::format("the data sheet of {}", name)};
  }
  return {.flops = measure_peak_flops(scalar_type(dtype), device),
          .source = name.empty() ? "a product that was measured" : fmt::format("products measured on {}", name)};
}

}  // namespace collimate
