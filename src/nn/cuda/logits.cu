// Log-sum-exp of rows of logits and the gradient in them, straight from the dtype of the product: a block a row.

#include <math_constants.h>

#include "arithmetic.hpp"
#include "device_code.cuh"

namespace collimate::detail::cuda {

namespace {

constexpr int kThreads = 512;
constexpr int kWarps = kThreads / kWarp;

template <class W>
__device__ arithmetic::LogSumExp<W> from_lane(const arithmetic::LogSumExp<W>& part, int offset) {
  return {__shfl_xor_sync(0xffffffffU, part.most, offset), __shfl_xor_sync(0xffffffffU, part.sum, offset)};
}

// A pack's largest first, so that the sum is rescaled once.
template <int N, class T>
__device__ void add_pack(arithmetic::LogSumExp<Wide<T>>& sum, const Pack<T, N>& pack) {
  using W = Wide<T>;
  arithmetic::LogSumExp<W> part{widen(pack.values[0]), W(0)};
#pragma unroll
  for (int i = 1; i < N; ++i) part.most = fmax(part.most, widen(pack.values[i]));
  if (part.most == -W(CUDART_INF)) return;
#pragma unroll
  for (int i = 0; i < N; ++i) part.sum += arithmetic::exponential(widen(pack.values[i]) - part.most);
  sum.add(part);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) logit_statistics_kernel(Logits logits) {
  using W = Wide<T>;
  __shared__ arithmetic::LogSumExp<W> shared[kWarps];
  const std::int64_t row = blockIdx.x;
  const T* const values = static_cast<const T*>(logits.logits) + row * logits.num_columns;
  arithmetic::LogSumExp<W> sum{-W(CUDART_INF), W(0)};
  for (int column = threadIdx.x * N; column < logits.num_columns; column += kThreads * N) {
    add_pack<N>(sum, load<N>(values + column));
  }
  for (int offset = kWarp / 2; offset > 0; offset /= 2) sum.add(from_lane(sum, offset));
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int warp = 1; warp < kWarps; ++warp) sum.add(shared[warp]);
  static_cast<W*>(logits.log_sum_exp)[row] = sum.value();
  static_cast<W*>(logits.label_logit)[row] = logits.is_local[row] ? widen(values[logits.label[row]]) : W(0);
}

template <class T, int N>
__global__ void __launch_bounds__(kThreads) logit_gradient_kernel(Logits logits) {
  using W = Wide<T>;
  const std::int64_t row = blockIdx.x;
  T* const values = static_cast<T*>(logits.logits) + row * logits.num_columns;
  const W log_sum_exp = static_cast<const W*>(logits.log_sum_exp)[row];
  const std::int64_t label = logits.is_local[row] ? logits.label[row] : -1;
  for (int column = threadIdx.x * N; column < logits.num_columns; column += kThreads * N) {
    const Pack<T, N> pack = load<N>(values + column);
    W gradients[N];
#pragma unroll
    for (int i = 0; i < N; ++i) {
      gradients[i] = arithmetic::exponential(widen(pack.values[i]) - log_sum_exp) - W(column + i == label ? 1 : 0);
    }
    store<N>(values + column, gradients);
  }
}

}  // namespace

int launch_logit_statistics(const Logits& logits, Stream stream) {
  return with_packs(logits.element, logits.num_columns, [&](auto tag, auto pack) {
    logit_statistics_kernel<typename decltype(tag)::type, decltype(pack)::value>
        <<<static_cast<unsigned>(logits.num_rows), kThreads, 0, stream>>>(logits);
  });
}

int launch_logit_gradient(const Logits& logits, Stream stream) {
  return with_packs(logits.element, logits.num_columns, [&](auto tag, auto pack) {
    logit_gradient_kernel<typename decltype(tag)::type, decltype(pack)::value>
        <<<static_cast<unsigned>(logits.num_rows), kThreads, 0, stream>>>(logits);
  });
}

}  // namespace collimate::detail::cuda
