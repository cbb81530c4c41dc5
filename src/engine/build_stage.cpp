#include "collimate/engine/build_stage.hpp"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"

namespace collimate {

at::ScalarType scalar_type(ComputeDtype dtype) { return dtype == ComputeDtype::kFloat64 ? at::kDouble : at::kFloat; }

namespace {

StageOptions options_of(ComputeDtype dtype, StageUse use) {
  return {.dtype = scalar_type(dtype), .trainable = use == StageUse::kTraining};
}

}  // namespace

Stage build_stage(const ModelSource& source, ComputeDtype dtype, StageUse use) {
  const StageOptions options = options_of(dtype, use);
  return {source.spec(), [&](const LogicalTensor& tensor) { return source.load(tensor.name, options.dtype); }, options};
}

Stage build_stage(const ModelSpec& spec, const Checkpoint& checkpoint, ComputeDtype dtype, StageUse use) {
  const auto load = [&](const LogicalTensor& tensor) {
    at::Tensor value = checkpoint.load(kModelGroup, tensor.name);
    if (value.sizes() != at::IntArrayRef(tensor.shape)) {
      throw InputError(fmt::format("{}: tensor {} has shape [{}], but the model needs [{}]", checkpoint.path(),
                                   tensor.name, fmt::join(value.sizes(), ", "), fmt::join(tensor.shape, ", ")));
    }
    return value;
  };
  return {spec, load, options_of(dtype, use)};
}

}  // namespace collimate
