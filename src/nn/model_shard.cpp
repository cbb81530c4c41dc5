#include "collimate/nn/model_shard.hpp"

#include <algorithm>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "collimate/base/error.hpp"

namespace collimate {

struct ModelShard::State {
  ModelSpec spec;
  ShardLayout layout;
  StageOptions options;
  std::vector<Parameter> parameters;
  ParameterKeeper* keeper = nullptr;
  WeightGradientQueue queue;
  std::vector<Stage> stages;
};

at::Tensor load_part(const PlacedTensor& placed, const ParameterLoader& loader, const StageOptions& options) {
  const at::Tensor part = loader(placed);
  const std::vector<std::int64_t> shape = part_shape(placed.tensor, placed.placement);
  check(part.sizes() == at::IntArrayRef(shape), fmt::format("{} is loaded as [{}], not as [{}]", placed.tensor.name,
                                                            fmt::join(part.sizes(), ", "), fmt::join(shape, ", ")));
  const at::Tensor value = part.detach().to(options.device, options.dtype);
  // It must neither keep a whole tensor alive nor lie in memory that is only lent.
  return value.is_alias_of(part) ? value.clone(at::MemoryFormat::Contiguous) : value.contiguous();
}

ParameterLoader parts_of(WholeTensors whole) {
  return [whole = std::move(whole)](const PlacedTensor& placed) {
    const at::Tensor tensor = whole(placed.tensor);
    check(tensor.sizes() == at::IntArrayRef(placed.tensor.shape),
          fmt::format("{} is given as [{}], not as [{}]", placed.tensor.name, fmt::join(tensor.sizes(), ", "),
                      fmt::join(placed.tensor.shape, ", ")));
    return part_of(tensor, placed.placement);
  };
}

namespace {

Parameter make_parameter(const PlacedTensor& placed, const ParameterLoader& loader, const StageOptions& options) {
  const at::Tensor value = options.resident ? load_part(placed, loader, options)
                                            : at::empty({0}, at::TensorOptions(options.device).dtype(options.dtype));
  return {.name = placed.tensor.name, .value = value.requires_grad_(options.trainable), .placement = placed.placement};
}

// Hands a gradient on as soon as autograd has it.
class KeeperHook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit KeeperHook(ParameterKeeper& keeper) : keeper_(keeper) {}
  void operator()(const at::Tensor& parameter) override {
    const at::Tensor gradient = std::exchange(parameter.mutable_grad(), at::Tensor());
    // Autograd comes by even when a pass leaves the gradient to the queue.
    if (!gradient.defined()) return;
    keeper_.add_gradient(parameter, [&](const at::Tensor& sum) { sum.add_(gradient); });
  }

 private:
  ParameterKeeper& keeper_;
};

}  // namespace

ModelShard::ModelShard(ModelSpec spec, ShardLayout layout, const ParameterLoader& loader, const StageOptions& options)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.spec = std::move(spec);
  state.layout = std::move(layout);
  state.options = options;
  const ShardLayout& own = state.layout;
  for (const PlacedTensor& placed : rank_tensors(state.spec, own.pipeline, own.pp_rank, own.axis.shard())) {
    state.parameters.push_back(make_parameter(placed, loader, options));
  }
  const auto find = [&](const std::string& name) {
    const auto place = std::ranges::find(state.parameters, name, &Parameter::name);
    return place == state.parameters.end() ? at::Tensor() : place->value;
  };
  for (const StagePart& part : own.pipeline.stages_of(own.pp_rank)) {
    state.stages.emplace_back(state.spec, part, find, own.axis, &state.queue, options);
  }
}

ModelShard::ModelShard(const ModelSpec& spec, const ParameterLoader& loader, const StageOptions& options)
    : ModelShard(spec, {.pipeline = one_stage(spec), .pp_rank = 0, .axis = {}}, loader, options) {}

ModelShard::~ModelShard() = default;
ModelShard::ModelShard(ModelShard&&) noexcept = default;
ModelShard& ModelShard::operator=(ModelShard&&) noexcept = default;

const ModelSpec& ModelShard::spec() const { return state_->spec; }
const ShardLayout& ModelShard::layout() const { return state_->layout; }
const StageOptions& ModelShard::options() const { return state_->options; }
std::span<const Parameter> ModelShard::parameters() const { return state_->parameters; }
ParameterKeeper* ModelShard::keeper() const { return state_->keeper; }
WeightGradientQueue& ModelShard::queue() const { return state_->queue; }

void ModelShard::set_keeper(ParameterKeeper* keeper) {
  check(state_->keeper == nullptr, "a shard has one keeper");
  state_->keeper = keeper;
  state_->queue.set_keeper(keeper);
  for (Stage& stage : state_->stages) stage.set_keeper(keeper);
  if (keeper == nullptr || !state_->options.trainable) return;
  for (const Parameter& parameter : state_->parameters) {
    torch::autograd::impl::set_post_acc_grad_hooks(parameter.value, std::make_unique<KeeperHook>(*keeper));
  }
}

const Stage& ModelShard::stage(int stage_index) const {
  const auto place =
      std::ranges::find(state_->stages, stage_index, [](const Stage& stage) { return stage.part().stage_index; });
  check(place != state_->stages.end(), "the stage is this rank's");
  return *place;
}

}  // namespace collimate
