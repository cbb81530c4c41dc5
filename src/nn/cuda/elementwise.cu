// The rotation of heads and the gated activation: one pass over the tensors each.

#include "arithmetic.hpp"
#include "device_code.cuh"

namespace collimate::detail::cuda {

namespace {

constexpr int kThreads = 256;

// A thread turns a pack of one half of a head, and the pack of the other half that belongs to it.
template <class T, int N>
__global__ void rotate_kernel(Rotation rotation, std::int64_t num_items) {
  using W = Wide<T>;
  const std::int64_t item = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (item >= num_items) return;
  const int packs = rotation.half / N;
  const std::int64_t head = item / packs;  // of all tokens
  const int column = static_cast<int>(item - head * packs) * N;
  const std::int64_t token = head / rotation.num_heads;
  const std::int64_t low_at = head * 2 * rotation.half + column;
  const Pack<T, N> low = load<N>(static_cast<const T*>(rotation.from) + low_at);
  const Pack<T, N> high = load<N>(static_cast<const T*>(rotation.from) + low_at + rotation.half);
  const W* const cos = static_cast<const W*>(rotation.cos) + token * rotation.half + column;
  const W* const sin = static_cast<const W*>(rotation.sin) + token * rotation.half + column;
  W new_low[N];
  W new_high[N];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const auto [first, second] = arithmetic::rotated<W>({widen(low.values[i]), widen(high.values[i])}, cos[i],
                                                        sin[i] * W(rotation.direction));
    new_low[i] = first;
    new_high[i] = second;
  }
  store<N>(static_cast<T*>(rotation.to) + low_at, new_low);
  store<N>(static_cast<T*>(rotation.to) + low_at + rotation.half, new_high);
}

template <class T, int N>
__global__ void gate_kernel(Gate gate) {
  using W = Wide<T>;
  const std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (begin >= gate.size) return;
  const Pack<T, N> gates = load<N>(static_cast<const T*>(gate.gate) + begin);
  const Pack<T, N> ups = load<N>(static_cast<const T*>(gate.up) + begin);
  W results[N];
#pragma unroll
  for (int i = 0; i < N; ++i) results[i] = arithmetic::gated<W>(widen(gates.values[i]), widen(ups.values[i]));
  store<N>(static_cast<T*>(gate.first) + begin, results);
}

template <class T, int N>
__global__ void gate_backward_kernel(Gate gate) {
  using W = Wide<T>;
  const std::int64_t begin = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * N;
  if (begin >= gate.size) return;
  const Pack<T, N> gates = load<N>(static_cast<const T*>(gate.gate) + begin);
  const Pack<T, N> ups = load<N>(static_cast<const T*>(gate.up) + begin);
  const Pack<T, N> grads = load<N>(static_cast<const T*>(gate.grad) + begin);
  W gate_grads[N];
  W up_grads[N];
#pragma unroll
  for (int i = 0; i < N; ++i) {
    const auto [first, second] = arithmetic::gated_gradient<W>(widen(gates.values[i]), widen(ups.values[i]),
                                                               widen(grads.values[i]));
    gate_grads[i] = first;
    up_grads[i] = second;
  }
  store<N>(static_cast<T*>(gate.first) + begin, gate_grads);
  store<N>(static_cast<T*>(gate.second) + begin, up_grads);
}

}  // namespace

int launch_rotate(const Rotation& rotation, Stream stream) {
  return with_packs(rotation.element, rotation.half, [&](auto tag, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    const std::int64_t items = rotation.num_tokens * rotation.num_heads * rotation.half / kPack;
    rotate_kernel<typename decltype(tag)::type, kPack>
        <<<blocks_for(items, kThreads), kThreads, 0, stream>>>(rotation, items);
  });
}

int launch_gate(const Gate& gate, Stream stream) {
  return with_packs(gate.element, gate.size, [&](auto tag, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    gate_kernel<typename decltype(tag)::type, kPack>
        <<<blocks_for(gate.size, kThreads * kPack), kThreads, 0, stream>>>(gate);
  });
}

int launch_gate_backward(const Gate& gate, Stream stream) {
  return with_packs(gate.element, gate.size, [&](auto tag, auto pack) {
    constexpr int kPack = decltype(pack)::value;
    gate_backward_kernel<typename decltype(tag)::type, kPack>
        <<<blocks_for(gate.size, kThreads * kPack), kThreads, 0, stream>>>(gate);
  });
}

}  // namespace collimate::detail::cuda
