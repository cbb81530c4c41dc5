// AdamW over flat buffers with the rounded weights in the same pass, and sums of squares.

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "adamw_arithmetic.hpp"

namespace collimate::detail::cuda {

namespace {

constexpr int kThreads = 256;
constexpr int kWarp = 32;

struct alignas(8) NarrowPack {
  __nv_bfloat16 values[4];
};

__device__ void update_one(const AdamWUpdate& update, std::int64_t i) {
  update_element(update, update.gradient[i], update.value[i], update.exp_avg[i], update.exp_avg_sq[i]);
  if (update.narrow != nullptr) static_cast<__nv_bfloat16*>(update.narrow)[i] = __float2bfloat16_rn(update.value[i]);
}

__device__ void update_four(const AdamWUpdate& update, std::int64_t i) {
  const auto pack = [i](auto* values) { return reinterpret_cast<float4*>(values + i); };
  const float4 gradient = *reinterpret_cast<const float4*>(update.gradient + i);
  float4 value = *pack(update.value);
  float4 exp_avg = *pack(update.exp_avg);
  float4 exp_avg_sq = *pack(update.exp_avg_sq);
  update_element(update, gradient.x, value.x, exp_avg.x, exp_avg_sq.x);
  update_element(update, gradient.y, value.y, exp_avg.y, exp_avg_sq.y);
  update_element(update, gradient.z, value.z, exp_avg.z, exp_avg_sq.z);
  update_element(update, gradient.w, value.w, exp_avg.w, exp_avg_sq.w);
  *pack(update.value) = value;
  *pack(update.exp_avg) = exp_avg;
  *pack(update.exp_avg_sq) = exp_avg_sq;
  if (update.narrow == nullptr) return;
  *reinterpret_cast<NarrowPack*>(static_cast<__nv_bfloat16*>(update.narrow) + i) = {
      {__float2bfloat16_rn(value.x), __float2bfloat16_rn(value.y), __float2bfloat16_rn(value.z),
       __float2bfloat16_rn(value.w)}};
}

__global__ void adamw_kernel(AdamWUpdate update, bool is_aligned) {
  const std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (is_aligned && begin + 4 <= update.size) return update_four(update, begin);
  for (std::int64_t i = begin; i < begin + 4 && i < update.size; ++i) update_one(update, i);
}

__global__ void squares_kernel(const float* values, std::int64_t size, double* partial, bool is_aligned) {
  __shared__ double shared[kThreads / kWarp];
  double sum = 0;
  const std::int64_t stride = std::int64_t{kSquareBlocks} * kThreads * 4;
  for (std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * 4; begin < size; begin += stride) {
    if (is_aligned && begin + 4 <= size) {
      const float4 pack = *reinterpret_cast<const float4*>(values + begin);
      sum += double{pack.x} * pack.x + double{pack.y} * pack.y + double{pack.z} * pack.z + double{pack.w} * pack.w;
    } else {
      for (std::int64_t i = begin; i < begin + 4 && i < size; ++i) sum += double{values[i]} * values[i];
    }
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffU, sum, offset);
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kThreads / kWarp; ++warp) sum += shared[warp];
  partial[blockIdx.x] = sum;
}

bool is_multiple(const void* pointer, std::uintptr_t bytes) {
  return reinterpret_cast<std::uintptr_t>(pointer) % bytes == 0;
}

}  // namespace

int launch_adamw(const AdamWUpdate& update, CUstream_st* stream) {
  const bool is_aligned = is_multiple(update.value, 16) && is_multiple(update.gradient, 16) &&
                          is_multiple(update.exp_avg, 16) && is_multiple(update.exp_avg_sq, 16) &&
                          is_multiple(update.narrow, 8);
  const std::int64_t per_block = std::int64_t{kThreads} * 4;
  adamw_kernel<<<static_cast<unsigned>((update.size + per_block - 1) / per_block), kThreads, 0, stream>>>(update,
                                                                                                         is_aligned);
  return cudaGetLastError();
}

int launch_squares(const float* values, std::int64_t size, double* partial, CUstream_st* stream) {
  squares_kernel<<<kSquareBlocks, kThreads, 0, stream>>>(values, size, partial, is_multiple(values, 16));
  return cudaGetLastError();
}

}  // namespace collimate::detail::cuda
