#include "collimate/engine/device_peak.hpp"

#include <algorithm>
#include <chrono>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/ones.h>

#include "collimate/nn/product.hpp"

namespace collimate {

double measure_peak_flops(at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  constexpr std::int64_t kSize = 1024;
  constexpr int kRepetitions = 4;
  const at::Tensor left = at::ones({kSize, kSize}, dtype);
  const at::Tensor right = at::ones({kSize, kSize}, dtype);
  at::Tensor result = product(left, right);
  double best = 0.0;
  for (int i = 0; i < kRepetitions; ++i) {
    const auto start = std::chrono::steady_clock::now();
    result = product(left, right);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, 2.0 * static_cast<double>(kSize * kSize * kSize) / elapsed.count());
  }
  return best;
}

}  // namespace collimate
