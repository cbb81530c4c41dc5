#pragma once
// What the CUDA kernels compute for an element or a row, as functions of numbers that the CPU runs, too: tests compare
// them with the other devices' kernels without a GPU. `W` is float, or double for double tensors.

#include <math.h>

#include "collimate/base/both_sides.hpp"

namespace collimate::detail::arithmetic {

COLLIMATE_BOTH_SIDES float exponential(float x) { return expf(x); }
COLLIMATE_BOTH_SIDES double exponential(double x) { return exp(x); }
COLLIMATE_BOTH_SIDES float logarithm(float x) { return logf(x); }
COLLIMATE_BOTH_SIDES double logarithm(double x) { return log(x); }
COLLIMATE_BOTH_SIDES float square_root(float x) { return sqrtf(x); }
COLLIMATE_BOTH_SIDES double square_root(double x) { return sqrt(x); }

template <class W>
struct Pair {
  W first;
  W second;
};

template <class W>
COLLIMATE_BOTH_SIDES W sigmoid(W x) {
  return W(1) / (W(1) + exponential(-x));
}

/// silu(gate) * up
template <class W>
COLLIMATE_BOTH_SIDES W gated(W gate, W up) {
  return gate * sigmoid(gate) * up;
}

/// The gradients of gate and up for that of gated(gate, up).
template <class W>
COLLIMATE_BOTH_SIDES Pair<W> gated_gradient(W gate, W up, W grad) {
  const W share = sigmoid(gate);
  return {grad * up * share * (W(1) + gate * (W(1) - share)), grad * gate * share};
}

/// A point of a head's two halves, turned by an angle.
template <class W>
COLLIMATE_BOTH_SIDES Pair<W> rotated(Pair<W> point, W cos, W sin) {
  return {point.first * cos - point.second * sin, point.second * cos + point.first * sin};
}

template <class W>
COLLIMATE_BOTH_SIDES W inverse_rms(W sum_of_squares, W size, W epsilon) {
  return W(1) / square_root(sum_of_squares / size + epsilon);
}

/// Of x in inverse_rms * x * weight, for the gradient `weighted` = grad * weight and its mean product with the normed
/// row, `along`.
template <class W>
COLLIMATE_BOTH_SIDES W norm_gradient(W weighted, W normed, W along, W inverse) {
  return (weighted - normed * along) * inverse;
}

/// log(sum(exp(x))) of numbers that come one by one, or in parts (Milakov and Gimelshein, 2018).
template <class W>
struct LogSumExp {
  W most;  ///< of the numbers so far; -infinity before the first
  W sum;   ///< of exp(x - most)

  COLLIMATE_BOTH_SIDES void add(LogSumExp other) {
    if (other.sum == W(0)) return;
    if (other.most > most) {
      sum = other.sum + (sum == W(0) ? W(0) : sum * exponential(most - other.most));
      most = other.most;
    } else {
      sum += other.sum * exponential(other.most - most);
    }
  }
  [[nodiscard]] COLLIMATE_BOTH_SIDES W value() const { return most + logarithm(sum); }
};

}  // namespace collimate::detail::arithmetic
