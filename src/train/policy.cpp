#include "collimate/train/policy.hpp"

#include <unordered_map>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "collimate/engine/build_shard.hpp"
#include "collimate/optim/gradient.hpp"
#include "gather_tensors.hpp"

namespace collimate {

namespace {

constexpr const char* kExpAvgGroup = "exp_avg";
constexpr const char* kExpAvgSqGroup = "exp_avg_sq";

std::vector<at::Tensor> values_of(const ModelShard& shard) {
  std::vector<at::Tensor> values;
  for (const Parameter& parameter : shard.parameters()) values.push_back(parameter.value);
  return values;
}

std::vector<Placement> placements_of(const ModelShard& shard) {
  std::vector<Placement> placements;
  for (const Parameter& parameter : shard.parameters()) placements.push_back(parameter.placement);
  return placements;
}

ShardPlan plan_of(const ModelShard& shard, int num_ranks, std::optional<std::int64_t> bucket_elements) {
  const ShardLayout& layout = shard.layout();
  const auto tensors = rank_tensors(shard.spec(), layout.pipeline, layout.pp_rank, layout.axis.shard());
  return {planned_parameters(tensors), num_ranks, bucket_elements};
}

}  // namespace

class Policy::Keeper final : public ParameterKeeper {
 public:
  explicit Keeper(Policy& policy) : policy_(policy) {
    const auto parameters = policy.shard_.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) index_.emplace(parameters[i].value.unsafeGetTensorImpl(), i);
  }

  void wait_for_values(std::span<const at::Tensor> parameters) override {
    for (const at::Tensor& parameter : parameters) policy_.arriving_.wait_for(index_of(parameter));
  }
  void begin_gradients(int stage) override { policy_.reducer_.begin(stage); }
  void take_gradient(const at::Tensor& parameter, const at::Tensor& gradient) override {
    policy_.reducer_.take(index_of(parameter), gradient);
  }
  void finish_gradients(int stage) override { policy_.reducer_.finish(stage); }

 private:
  [[nodiscard]] std::size_t index_of(const at::Tensor& parameter) const {
    return index_.at(parameter.unsafeGetTensorImpl());
  }

  Policy& policy_;
  std::unordered_map<const c10::TensorImpl*, std::size_t> index_;
};

Policy::Policy(ModelShard shard, const OptimizerConfig& config, const PolicyOptions& options, ProcessMesh& mesh)
    : mesh_(mesh),
      zero_stage_(options.zero_stage),
      shard_(std::move(shard)),
      parameters_(values_of(shard_), plan_of(shard_, mesh.data().size(), options.bucket_elements)),
      masters_(updated_parts(parameters_.values())),
      optimizer_(config, masters_.parts()),
      reducer_(mesh, parameters_.plan(),
               {.spec = shard_.spec(),
                .layout = shard_.layout().pipeline,
                .placements = placements_of(shard_),
                .gradients = masters_.parts().front().options()},
               zero_stage_),
      arriving_(mesh.data(), parameters_.plan()),
      keeper_(std::make_unique<Keeper>(*this)) {
  shard_.set_keeper(keeper_.get());
}

Policy::~Policy() = default;

// Without ZeRO every rank updates everything, the same way.
std::vector<at::Tensor> Policy::updated_parts(const at::Tensor& flat) const {
  if (zero_stage_ == 0) return {flat};
  return parameters_.shard(flat, mesh_.data().rank());
}

MemoryUse Policy::held_bytes() const {
  const auto bytes = [](const at::Tensor& tensor) { return static_cast<std::int64_t>(tensor.nbytes()); };
  MemoryUse held;
  held[MemoryKind::kWeights] = bytes(parameters_.values());
  held[MemoryKind::kGradients] = reducer_.held_bytes();
  held[MemoryKind::kOptimizer] = bytes(optimizer_.exp_avg()) + bytes(optimizer_.exp_avg_sq());
  if (!masters_.are_wider()) return held;
  for (const at::Tensor& part : masters_.parts()) held[MemoryKind::kOptimizer] += bytes(part);
  return held;
}

double Policy::reduce_gradients() {
  reducer_.sum_copies();
  return reducer_.global_norm();
}

void Policy::update(double learning_rate, double norm, double max_norm) {
  const std::vector<at::Tensor> gradients =
      zero_stage_ == 0 ? std::vector<at::Tensor>{reducer_.gather()} : reducer_.shard();
  clip_gradients(gradients, norm, max_norm);
  arriving_.wait();  // of a parameter that no forward pass has read
  optimizer_.step(gradients, learning_rate);
  masters_.write_back();
  if (zero_stage_ > 0) arriving_.start(parameters_.values());
}

// What `own` is this rank's parts of, in the order of the flat buffer.
at::Tensor Policy::whole_of(const at::Tensor& own) const {
  if (own.numel() == parameters_.plan().flat_elements()) return own;
  at::Tensor flat = at::empty(parameters_.values().sizes(), own.options());
  std::int64_t begin = 0;
  for (const at::Tensor& part : updated_parts(flat)) {
    part.copy_(own.narrow(0, begin, part.numel()));
    begin += part.numel();
  }
  if (zero_stage_ > 0) gather_flat(mesh_.data(), parameters_.plan(), flat);
  return flat;
}

std::vector<TensorGroup> Policy::gather_groups() {
  arriving_.wait();
  const auto gather = [&](const char* name, const at::Tensor& own) {
    const at::Tensor flat = whole_of(own);
    const auto part = [&](std::size_t index) { return parameters_.part(flat, index); };
    return TensorGroup{.name = name, .tensors = detail::gather_tensors(shard_, mesh_, part)};
  };
  std::vector<TensorGroup> groups{gather(kModelGroup, masters_.flat()), gather(kExpAvgGroup, optimizer_.exp_avg()),
                                  gather(kExpAvgSqGroup, optimizer_.exp_avg_sq())};
  if (mesh_.world().rank() != 0) groups.clear();
  return groups;
}

void Policy::restore(const Checkpoint& checkpoint, std::int64_t num_updates) {
  const auto load_from = [&](const char* group) {
    return [&checkpoint, group](const std::string& tensor) { return checkpoint.load(group, tensor); };
  };
  fill(optimizer_.exp_avg_parts(), load_from(kExpAvgGroup));
  fill(optimizer_.exp_avg_sq_parts(), load_from(kExpAvgSqGroup));
  optimizer_.resume(num_updates);
  if (!masters_.are_wider()) return;
  fill(masters_.parts(), load_from(kModelGroup));
  masters_.write_back();
}

void Policy::take_initial_weights(const ModelSource& source) {
  if (!masters_.are_wider()) return;
  const at::ScalarType dtype = masters_.parts().front().scalar_type();
  fill(masters_.parts(), [&](const std::string& name) { return source.load(name, dtype); });
  masters_.write_back();
}

// One tensor at a time: this rank's elements of it go where they belong in `parts`, which are as updated_parts().
void Policy::fill(const std::vector<at::Tensor>& parts, const LoadWhole& load) const {
  const ShardPlan& plan = parameters_.plan();
  const int dp_rank = mesh_.data().rank();
  const auto parameters = shard_.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const ShardRange whole = plan.parameter(i);
    const std::size_t bucket = plan.bucket_of(i);
    const ShardRange target = zero_stage_ == 0 ? whole : plan.parameter_part(i, dp_rank);
    if (target.length == 0) continue;
    const at::Tensor value = part_of(load(parameters[i].name), parameters[i].placement).reshape({-1});
    const std::int64_t skipped =
        zero_stage_ == 0 ? 0 : plan.part(plan.buckets()[bucket], dp_rank).begin + target.begin - whole.begin;
    const at::Tensor& part = parts[zero_stage_ == 0 ? 0 : bucket];
    view_of(part, target).copy_(value.narrow(0, skipped, target.length));
  }
}

}  // namespace collimate
