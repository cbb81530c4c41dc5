#include "collimate/train/policy.hpp"

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty_like.h>

#include "collimate/engine/build_stage.hpp"

namespace collimate {

namespace {

constexpr const char* kExpAvgGroup = "exp_avg";
constexpr const char* kExpAvgSqGroup = "exp_avg_sq";

std::vector<at::Tensor> values_of(const Stage& stage) {
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : stage.parameters()) values.push_back(parameter.value);
  return values;
}

}  // namespace

Policy::Policy(Stage stage, const OptimizerConfig& config)
    : stage_(std::move(stage)), parameters_(values_of(stage_)), optimizer_(config, parameters_.values()) {}

void Policy::update(double learning_rate) {
  optimizer_.step(parameters_.values(), parameters_.gradients(), learning_rate);
}

std::vector<TensorGroup> Policy::tensor_groups() const {
  return {group(kModelGroup, parameters_.values()), group(kExpAvgGroup, optimizer_.exp_avg()),
          group(kExpAvgSqGroup, optimizer_.exp_avg_sq())};
}

TensorGroup Policy::group(const char* name, const at::Tensor& flat) const {
  TensorGroup group{.name = name, .tensors = {}};
  const auto parameters = stage_.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    group.tensors.push_back({.name = parameters[i].name, .value = parameters_.part(flat, i)});
  }
  return group;
}

void Policy::restore_moments(const Checkpoint& checkpoint, std::int64_t num_updates) {
  optimizer_.restore(flat_group(checkpoint, kExpAvgGroup), flat_group(checkpoint, kExpAvgSqGroup), num_updates);
}

at::Tensor Policy::flat_group(const Checkpoint& checkpoint, const char* name) const {
  at::Tensor flat = at::empty_like(parameters_.values());
  const auto parameters = stage_.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    parameters_.part(flat, i).copy_(checkpoint.load(name, parameters[i].name));
  }
  return flat;
}

}  // namespace collimate
