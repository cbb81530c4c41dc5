#pragma once
// Launches of the optimizer's CUDA kernels. Pointers are to the device's memory; the functions return a cudaError_t and
// wait for nothing. Free of libtorch's headers, which nvcc does not need to read.

#include <cstdint>

struct CUstream_st;

namespace collimate::detail::cuda {

/// One update of flat float32 values.
struct AdamWUpdate {
  float* value;
  const float* gradient;
  float* exp_avg;
  float* exp_avg_sq;
  void* narrow;  ///< bfloat16, null: none; takes the new values, rounded
  std::int64_t size;
  float gradient_factor;
  float decay;            ///< 1 - learning_rate * weight_decay
  float one_minus_beta1;  ///< rounded by itself: 1 - 0.999F is off in its fifth digit
  float beta2;
  float one_minus_beta2;
  float step_size;              ///< learning_rate / (1 - beta1^t)
  float inverse_root_of_bias2;  ///< 1 / sqrt(1 - beta2^t)
  float epsilon;
};

inline constexpr int kSquareBlocks = 1024;

int launch_adamw(const AdamWUpdate& update, CUstream_st* stream);
/// `partial` [kSquareBlocks]: sums of squares in float64 whose sum is that of all, in an order that never changes.
int launch_squares(const float* values, std::int64_t size, double* partial, CUstream_st* stream);

}  // namespace collimate::detail::cuda
