#pragma once
// Which stored tensors are a model's parameters, and what the others mean. Private to src/store.

#include <map>
#include <string>

#include "collimate/model/spec.hpp"
#include "weight_files.hpp"

namespace collimate::detail {

/// *Local.* The stored tensor of each logical tensor of `spec`, by logical name; also lm_head.weight beside a tied
/// embedding, for the caller to compare. A tied embedding may be stored as lm_head.weight alone. The views live as long
/// as `weights`. Buffers that the model computes by itself are passed over. Throws InputError that lists the missing,
/// the wrongly shaped and the unexpected tensors of `folder`, those of its index too, with what they mean.
std::map<std::string, TensorView> fit_weights(const ModelSpec& spec, const std::string& folder,
                                              const WeightFiles& weights);

}  // namespace collimate::detail
