#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include "cpu_kernels.hpp"
#include "wide.hpp"

namespace collimate::detail::cpu {

namespace {

template <class T>
struct Rotation {
  using A = Wide<T>;

  const A* cos;
  const A* sin;
  std::int64_t num_heads;
  std::int64_t half;
  A direction;  // 1 forward, -1 backward: the transpose of a rotation turns the other way

  // `from` and `to` may be the same.
  void token(std::int64_t t, const T* from, T* to) const {
    const A* c = cos + t * half;
    const A* s = sin + t * half;
    for (std::int64_t head = t * num_heads; head < (t + 1) * num_heads; ++head) {
      const T* in = from + head * 2 * half;
      T* out = to + head * 2 * half;
#pragma omp simd
      for (std::int64_t i = 0; i < half; ++i) {
        const A low = in[i];
        const A high = in[half + i];
        const A turn = direction * s[i];
        out[i] = static_cast<T>(low * c[i] - high * turn);
        out[half + i] = static_cast<T>(high * c[i] + low * turn);
      }
    }
  }
};

}  // namespace

void rotate(const at::Tensor& from, const at::Tensor& to, const at::Tensor& cos, const at::Tensor& sin, int direction) {
  constexpr std::int64_t kGrainTokens = 64;
  const std::int64_t half = cos.size(1);
  AT_DISPATCH_FLOATING_TYPES_AND(at::kBFloat16, from.scalar_type(), "rope", [&] {
    const Rotation<scalar_t> rotation{.cos = cos.const_data_ptr<Wide<scalar_t>>(),
                                      .sin = sin.const_data_ptr<Wide<scalar_t>>(),
                                      .num_heads = from.size(1) / (2 * half),
                                      .half = half,
                                      .direction = static_cast<Wide<scalar_t>>(direction)};
    const auto* source = from.const_data_ptr<scalar_t>();
    auto* target = to.data_ptr<scalar_t>();
    at::parallel_for(0, from.size(0), kGrainTokens, [&](std::int64_t first, std::int64_t last) {
      for (std::int64_t t = first; t < last; ++t) rotation.token(t, source, target);
    });
  });
}

}  // namespace collimate::detail::cpu
