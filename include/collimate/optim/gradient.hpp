#pragma once
// What happens to gradients between the backward pass and the update: reduction over the data axis, norm, clip.

#include <ATen/core/Tensor.h>

#include "collimate/comm/communicator.hpp"

namespace collimate {

/// *Collective* over the data axis. Adds up the ranks' gradients in rank order, in their own precision (float32 or
/// float64). The loss is normalized over the global batch already, so a sum is right and nothing is divided.
void reduce_gradients(at::Tensor& gradients, Communicator& data);

/// Whether no value is infinite or NaN. *Local.*
bool is_finite(const at::Tensor& gradients);

/// 2-norm over all parameters, summed in float64. *Local*: on reduced gradients every rank gets the same value.
double global_norm(const at::Tensor& gradients);

/// Scales gradients so that their norm is at most `max_norm` (0: leaves them alone), with the factor
/// max_norm / (norm + 1e-6) of torch.nn.utils.clip_grad_norm_.
void clip_gradients(at::Tensor& gradients, double norm, double max_norm);

}  // namespace collimate
