#pragma once
// One element of AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2), for the CUDA kernel and, in tests, the
// CPU.

#include <math.h>

#include "collimate/base/both_sides.hpp"
#include "launch.hpp"

namespace collimate::detail::cuda {

COLLIMATE_BOTH_SIDES void update_element(const AdamWUpdate& update, float gradient, float& value, float& exp_avg,
                                         float& exp_avg_sq) {
  gradient *= update.gradient_factor;
  exp_avg += update.one_minus_beta1 * (gradient - exp_avg);
  exp_avg_sq = update.beta2 * exp_avg_sq + update.one_minus_beta2 * gradient * gradient;
  const float root = sqrtf(exp_avg_sq) * update.inverse_root_of_bias2 + update.epsilon;
  value = value * update.decay - update.step_size * exp_avg / root;
}

}  // namespace collimate::detail::cuda
