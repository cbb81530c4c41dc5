// What the CUDA kernels compute for each element and row, run on the CPU: it is what the other devices' kernels give.
#include <cmath>
#include <limits>

#include <ATen/TensorOperators.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include "../../../src/nn/cuda/arithmetic.hpp"
#include "../../../src/nn/device_kernels.hpp"
#include "gradient_check.hpp"

namespace collimate {
namespace {

namespace arithmetic = detail::arithmetic;
using detail::DeviceKernels;
using detail::Gated;
using detail::Normed;
using detail::NormSaved;

const DeviceKernels& cpu_kernels() { return detail::kernels_for(at::kCPU); }

double& element(const at::Tensor& tensor, std::int64_t index) { return tensor.data_ptr<double>()[index]; }

void expect_close(const at::Tensor& got, const at::Tensor& expected) {
  EXPECT_LE(test::relative_difference(got, expected), 1e-14);
}

TEST(CudaArithmeticTest, gate_and_its_gradient) {
  const auto inputs = test::random_tensors({{30, 7}, {30, 7}, {30, 7}});
  const Gated gated{.gate = inputs[0] * 5, .up = inputs[1]};
  const at::Tensor out = at::empty_like(gated.gate);
  const Gated grads{.gate = at::empty_like(out), .up = at::empty_like(out)};
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    const double gate = element(gated.gate, i);
    const double up = element(gated.up, i);
    element(out, i) = arithmetic::gated(gate, up);
    const auto [first, second] = arithmetic::gated_gradient(gate, up, element(inputs[2], i));
    element(grads.gate, i) = first;
    element(grads.up, i) = second;
  }
  expect_close(out, cpu_kernels().gate(gated));
  const Gated expected = cpu_kernels().gate_backward(gated, inputs[2]);
  expect_close(grads.gate, expected.gate);
  expect_close(grads.up, expected.up);
}

TEST(CudaArithmeticTest, rotation) {
  constexpr std::int64_t kHalf = 3;
  const auto inputs = test::random_tensors({{4, 2 * kHalf}, {4, kHalf}});
  const at::Tensor cos = inputs[1].cos();
  const at::Tensor sin = inputs[1].sin();
  const at::Tensor out = at::empty_like(inputs[0]);
  for (std::int64_t token = 0; token < 4; ++token) {
    for (std::int64_t i = 0; i < kHalf; ++i) {
      const std::int64_t low = token * 2 * kHalf + i;
      const auto [first, second] =
          arithmetic::rotated<double>({element(inputs[0], low), element(inputs[0], low + kHalf)},
                                      element(cos, token * kHalf + i), element(sin, token * kHalf + i));
      element(out, low) = first;
      element(out, low + kHalf) = second;
    }
  }
  const at::Tensor expected = at::empty_like(out);
  cpu_kernels().rotate(inputs[0], expected, cos, sin, 1);
  expect_close(out, expected);
}

TEST(CudaArithmeticTest, norm_and_its_gradient) {
  constexpr std::int64_t kSize = 12;
  const auto inputs = test::random_tensors({{9, kSize}, {kSize}, {9, kSize}});
  const Normed expected = cpu_kernels().normalize(inputs[0], {}, inputs[1], 1e-3);
  const at::Tensor grad = at::empty_like(inputs[0]);
  for (std::int64_t row = 0; row < 9; ++row) {
    const auto at_column = [&](const at::Tensor& tensor, std::int64_t column) {
      return element(tensor, row * kSize + column);
    };
    double squares = 0;
    for (std::int64_t i = 0; i < kSize; ++i) squares += at_column(inputs[0], i) * at_column(inputs[0], i);
    const double inverse = arithmetic::inverse_rms<double>(squares, kSize, 1e-3);
    EXPECT_NEAR(inverse, element(expected.inverse_rms, row), 1e-14);
    double along = 0;
    for (std::int64_t i = 0; i < kSize; ++i) {
      along += at_column(inputs[2], i) * element(inputs[1], i) * at_column(inputs[0], i) * inverse / kSize;
    }
    for (std::int64_t i = 0; i < kSize; ++i) {
      element(grad, row * kSize + i) = arithmetic::norm_gradient(at_column(inputs[2], i) * element(inputs[1], i),
                                                                 at_column(inputs[0], i) * inverse, along, inverse);
    }
  }
  const NormSaved saved{.x = expected.sum, .weight = inputs[1], .inverse_rms = expected.inverse_rms};
  expect_close(grad, cpu_kernels().normalize_backward(saved, inputs[2], {}).x);
}

TEST(CudaArithmeticTest, log_sum_exp_of_numbers_in_parts) {
  const double infinity = std::numeric_limits<double>::infinity();
  const at::Tensor values = test::random_tensors({{64}}).front() * 300;
  element(values, 5) = -infinity;
  for (const std::int64_t part : {1, 3, 64}) {
    arithmetic::LogSumExp<double> all{-infinity, 0};
    for (std::int64_t first = 0; first < values.numel(); first += part) {
      arithmetic::LogSumExp<double> own{-infinity, 0};
      for (std::int64_t i = first; i < std::min(first + part, values.numel()); ++i) {
        if (element(values, i) > -infinity) own.add({element(values, i), 1.0});
      }
      all.add(own);
    }
    EXPECT_NEAR(all.value(), values.logsumexp(0).item<double>(), 1e-12);
  }
  EXPECT_TRUE(std::isnan([] {
    arithmetic::LogSumExp<double> sum{1.0, 1.0};
    sum.add({2.0, std::numeric_limits<double>::quiet_NaN()});
    return sum.value();
  }()));
}

}  // namespace
}  // namespace collimate
