#include "collimate/engine/device_peak.hpp"

#include <algorithm>
#include <chrono>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include "collimate/nn/product.hpp"
#include "collimate/plan/peak_probe.hpp"

namespace collimate {

double measure_peak_flops(at::ScalarType dtype, c10::Device device) {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t kSize = kPeakProbeSize;
  constexpr int kRepetitions = 4;
  const auto options = at::TensorOptions(device).dtype(dtype);
  const at::Tensor left = at::ones({kSize, kSize}, options);
  const at::Tensor right = at::ones({kSize, kSize}, options);
  // A number of the result is there when all of it is, also on a device that computes while the host goes on.
  const auto multiply = [&] { return product(left, right).select(0, 0).select(0, 0).item<double>(); };
  multiply();
  double best = 0.0;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    multiply();
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(kSize * kSize * kSize) / elapsed.count());
  }
  return best;
}

}  // namespace collimate
