// RMSNorm, with the residual addition before it where there is one. A row's elements stay in the registers of its
// threads between the two passes over them.

#include "arithmetic.hpp"
#include "device_code.cuh"

namespace collimate::detail::cuda {

namespace {

constexpr int kMostThreads = 1024;
constexpr int kMostPacks = 8;
constexpr int kThreadsPerBlock = 256;
constexpr int kBackwardBlocks = 528;  // four for each multiprocessor of an H100

// How the threads of a block lie over rows.
struct RowShape {
  int pack;     // elements of a pack
  int packs;    // of a thread
  dim3 threads;  // x: of a row, y: rows of a block
};

template <class T>
RowShape row_shape(int size) {
  RowShape shape{};
  shape.pack = size % kPackSize<T> == 0 ? kPackSize<T> : 1;
  const int packs = (size + shape.pack - 1) / shape.pack;
  int width = 1;
  while (width < packs && width < kWarp) width *= 2;
  if (packs > kWarp) width = (packs + kWarp - 1) / kWarp * kWarp;
  if (width > kMostThreads) width = kMostThreads;
  const int needed = (packs + width - 1) / width;
  shape.packs = 1;
  while (shape.packs < needed) shape.packs *= 2;
  shape.threads = dim3(width, width <= kWarp ? kThreadsPerBlock / width : 1);
  return shape;
}

template <class T, int N, int P>
__global__ void normalize_kernel(NormForward norm) {
  using W = Wide<T>;
  __shared__ W shared[kWarp];
  const std::int64_t row = std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y;
  const bool is_row = row < norm.num_rows;
  const std::int64_t begin = row * norm.size;
  W values[P][N];
  W squares = 0;
#pragma unroll
  for (int p = 0; p < P; ++p) {
    const int column = (p * blockDim.x + threadIdx.x) * N;
    if (!is_row || column >= norm.size) continue;
    Pack<T, N> x = load<N>(static_cast<const T*>(norm.x) + begin + column);
    if (norm.delta != nullptr) {
      const Pack<T, N> delta = load<N>(static_cast<const T*>(norm.delta) + begin + column);
#pragma unroll
      for (int i = 0; i < N; ++i) x.values[i] = narrow<T>(widen(x.values[i]) + widen(delta.values[i]));
      store<N>(static_cast<T*>(norm.sum) + begin + column, x);
    }
#pragma unroll
    for (int i = 0; i < N; ++i) {
      values[p][i] = widen(x.values[i]);
      squares += values[p][i] * values[p][i];
    }
  }
  const W inverse = arithmetic::inverse_rms(sum_over_row(squares, shared), W(norm.size), W(norm.epsilon));
  if (is_row && threadIdx.x == 0) static_cast<W*>(norm.inverse_rms)[row] = inverse;
#pragma unroll
  for (int p = 0; p < P; ++p) {
    const int column = (p * blockDim.x + threadIdx.x) * N;
    if (!is_row || column >= norm.size) continue;
    const Pack<T, N> weight = load<N>(static_cast<const T*>(norm.weight) + column);
#pragma unroll
    for (int i = 0; i < N; ++i) values[p][i] *= inverse * widen(weight.values[i]);
    store<N>(static_cast<T*>(norm.out) + begin + column, values[p]);
  }
}

// Each thread adds up the weight's gradient of its own columns over the rows that its block goes through.
template <class T, int N, int P>
__global__ void normalize_backward_kernel(NormBackward norm) {
  using W = Wide<T>;
  __shared__ W shared[kWarp];
  W weight_sums[P][N] = {};
  for (std::int64_t first = std::int64_t{blockIdx.x} * blockDim.y; first < norm.num_rows;
       first += std::int64_t{gridDim.x} * blockDim.y) {
    const std::int64_t row = first + threadIdx.y;
    const bool is_row = row < norm.num_rows;
    const std::int64_t begin = row * norm.size;
    const W inverse = is_row ? static_cast<const W*>(norm.inverse_rms)[row] : W(0);
    W normed[P][N];
    W weighted[P][N];
    W product = 0;
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int column = (p * blockDim.x + threadIdx.x) * N;
      if (!is_row || column >= norm.size) continue;
      const Pack<T, N> x = load<N>(static_cast<const T*>(norm.x) + begin + column);
      const Pack<T, N> grad = load<N>(static_cast<const T*>(norm.grad_out) + begin + column);
      const Pack<T, N> weight = load<N>(static_cast<const T*>(norm.weight) + column);
#pragma unroll
      for (int i = 0; i < N; ++i) {
        normed[p][i] = widen(x.values[i]) * inverse;
        weighted[p][i] = widen(grad.values[i]) * widen(weight.values[i]);
        product += weighted[p][i] * normed[p][i];
        weight_sums[p][i] += widen(grad.values[i]) * normed[p][i];
      }
    }
    const W along = sum_over_row(product, shared) / W(norm.size);
#pragma unroll
    for (int p = 0; p < P; ++p) {
      const int column = (p * blockDim.x + threadIdx.x) * N;
      if (!is_row || column >= norm.size) continue;
#pragma unroll
      for (int i = 0; i < N; ++i) {
        weighted[p][i] = arithmetic::norm_gradient(weighted[p][i], normed[p][i], along, inverse);
      }
      if (norm.grad_sum != nullptr) {
        const Pack<T, N> past = load<N>(static_cast<const T*>(norm.grad_sum) + begin + column);
#pragma unroll
        for (int i = 0; i < N; ++i) weighted[p][i] += widen(past.values[i]);
      }
      store<N>(static_cast<T*>(norm.grad_x) + begin + column, weighted[p]);
    }
  }
  W* const partial =
      static_cast<W*>(norm.partial) + (std::int64_t{blockIdx.x} * blockDim.y + threadIdx.y) * norm.size;
#pragma unroll
  for (int p = 0; p < P; ++p) {
    const int column = (p * blockDim.x + threadIdx.x) * N;
    if (column >= norm.size) continue;
#pragma unroll
    for (int i = 0; i < N; ++i) partial[column + i] = weight_sums[p][i];
  }
}

template <class T>
int backward_blocks(const NormBackward& norm, const RowShape& shape) {
  const unsigned rows = blocks_for(norm.num_rows, shape.threads.y);
  return static_cast<int>(rows < kBackwardBlocks ? (rows > 0 ? rows : 1) : kBackwardBlocks);
}

// Calls launch(Constant<N>, Constant<P>) for the packs of a shape.
template <class T, class Launch>
int with_row_packs(const RowShape& shape, const Launch& launch) {
  const auto with_size = [&](auto size) {
    switch (shape.packs) {
      case 1:
        return launch(size, Constant<1>{});
      case 2:
        return launch(size, Constant<2>{});
      case 4:
        return launch(size, Constant<4>{});
      case kMostPacks:
        return launch(size, Constant<kMostPacks>{});
      default:
        return static_cast<int>(cudaErrorInvalidValue);
    }
  };
  return shape.pack == 1 ? with_size(Constant<1>{}) : with_size(Constant<kPackSize<T>>{});
}

}  // namespace

bool norm_fits(Element element, int size) {
  return with_type(element, [&](auto tag) {
           return static_cast<int>(row_shape<typename decltype(tag)::type>(size).packs <= kMostPacks);
         }) == 1;
}

int norm_partial_rows(const NormBackward& norm) {
  return with_type(norm.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const RowShape shape = row_shape<T>(norm.size);
    return backward_blocks<T>(norm, shape) * static_cast<int>(shape.threads.y);
  });
}

int launch_normalize(const NormForward& norm, Stream stream) {
  return with_type(norm.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const RowShape shape = row_shape<T>(norm.size);
    return with_row_packs<T>(shape, [&](auto pack, auto packs) {
      normalize_kernel<T, decltype(pack)::value, decltype(packs)::value>
          <<<blocks_for(norm.num_rows, shape.threads.y), shape.threads, 0, stream>>>(norm);
      return static_cast<int>(cudaGetLastError());
    });
  });
}

int launch_normalize_backward(const NormBackward& norm, Stream stream) {
  return with_type(norm.element, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const RowShape shape = row_shape<T>(norm.size);
    return with_row_packs<T>(shape, [&](auto pack, auto packs) {
      normalize_backward_kernel<T, decltype(pack)::value, decltype(packs)::value>
          <<<backward_blocks<T>(norm, shape), shape.threads, 0, stream>>>(norm);
      return static_cast<int>(cudaGetLastError());
    });
  });
}

}  // namespace collimate::detail::cuda
