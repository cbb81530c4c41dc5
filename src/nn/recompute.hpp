#pragma once
// Activations that are computed a second time instead of being kept (Chen et al., "Training Deep Nets with Sublinear
// Memory Cost", arXiv 1604.06174).

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

namespace collimate {

/// A differentiable part of a model. What it refers to must outlive the backward pass; it gives the same bits every
/// time and does not change its inputs.
using ModelPart = std::function<std::vector<at::Tensor>(const std::vector<at::Tensor>& inputs)>;

/// part(inputs), of which only the inputs are kept: the backward pass runs the part again. *Collective* where the part
/// is, then too. At least one input must require a gradient if a parameter of the part does. Without autograd it is
/// just the part.
std::vector<at::Tensor> recomputed(const ModelPart& part, const std::vector<at::Tensor>& inputs);

}  // namespace collimate
