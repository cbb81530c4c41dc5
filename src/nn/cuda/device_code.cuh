#pragma once
// What the kernels have in common: elements in packs of 16 bytes, and sums over the threads of a row.

#include <cstdint>

#include <cuda_bf16.h>
#include <cuda_runtime_api.h>

#include "launch.hpp"

namespace collimate::detail::cuda {

template <class T>
struct WideOf {
  using type = float;
};
template <>
struct WideOf<double> {
  using type = double;
};
template <class T>
using Wide = typename WideOf<T>::type;

__device__ inline float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ inline float widen(float x) { return x; }
__device__ inline double widen(double x) { return x; }

template <class T>
__device__ inline T narrow(Wide<T> x) {
  if constexpr (sizeof(T) == 2) {
    return __float2bfloat16_rn(x);
  } else {
    return x;
  }
}

template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T values[N];
};

template <int N, class T>
__device__ inline Pack<T, N> load(const T* from) {
  return *reinterpret_cast<const Pack<T, N>*>(from);
}
template <int N, class T>
__device__ inline void store(T* to, const Pack<T, N>& pack) {
  *reinterpret_cast<Pack<T, N>*>(to) = pack;
}
template <int N, class T>
__device__ inline void store(T* to, const Wide<T> (&values)[N]) {
  Pack<T, N> pack;
#pragma unroll
  for (int i = 0; i < N; ++i) pack.values[i] = narrow<T>(values[i]);
  store<N>(to, pack);
}

/// Elements of 16 bytes.
template <class T>
inline constexpr int kPackSize = 16 / static_cast<int>(sizeof(T));

constexpr int kWarp = 32;

/// The sum over the threadIdx.x of a row, given to all of them: fewer than a warp (a power of two), or whole warps, one
/// row a block. `shared` has room for a value a warp.
template <class W>
__device__ inline W sum_over_row(W value, W* shared) {
  const int width = blockDim.x < kWarp ? blockDim.x : kWarp;
  for (int offset = width / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffU, value, offset, width);
  if (blockDim.x <= kWarp) return value;
  const int num_warps = blockDim.x / kWarp;
  __syncthreads();  // of the row before
  if (threadIdx.x % kWarp == 0) shared[threadIdx.x / kWarp] = value;
  __syncthreads();
  value = threadIdx.x % kWarp < num_warps ? shared[threadIdx.x % kWarp] : W(0);
  for (int offset = kWarp / 2; offset > 0; offset /= 2) value += __shfl_xor_sync(0xffffffffU, value, offset);
  return value;
}

template <class T>
struct TypeTag {
  using type = T;
};

/// Calls work(TypeTag<T>) for the type of an element.
template <class Work>
inline int with_type(Element element, const Work& work) {
  switch (element) {
    case Element::kBfloat16:
      return work(TypeTag<__nv_bfloat16>{});
    case Element::kFloat:
      return work(TypeTag<float>{});
    case Element::kDouble:
      return work(TypeTag<double>{});
  }
  return cudaErrorInvalidValue;
}

template <int Value>
struct Constant {
  static constexpr int value = Value;
};

/// Calls launch(TypeTag<T>, Constant<N>) for an element and the packs that divide runs of `size`; gives its error.
template <class Launch>
inline int with_packs(Element element, std::int64_t size, const Launch& launch) {
  return with_type(element, [&](auto tag) {
    constexpr int kPack = kPackSize<typename decltype(tag)::type>;
    if (size % kPack == 0) {
      launch(tag, Constant<kPack>{});
    } else {
      launch(tag, Constant<1>{});
    }
    return static_cast<int>(cudaGetLastError());
  });
}

inline unsigned blocks_for(std::int64_t items, std::int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

}  // namespace collimate::detail::cuda
