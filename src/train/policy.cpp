#include "collimate/train/policy.hpp"

#include <unordered_map>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "collimate/engine/build_shard.hpp"
#include "collimate/optim/gradient.hpp"
#include "collimate/store/load_pieces.hpp"

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

std::vector<PlacedTensor> placed_tensors(const ModelShard& shard) {
  const ShardLayout& layout = shard.layout();
  return rank_tensors(shard.spec(), layout.pipeline, layout.pp_rank, layout.axis.shard());
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
  void add_gradient(const at::Tensor& parameter, const AddGradient& add) override {
    policy_.reducer_.take(index_of(parameter), [&](const at::Tensor& sum) { add(sum.view(parameter.sizes())); });
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
      placed_(placed_tensors(shard_)),
      parameters_(values_of(shard_),
                  ShardPlan(planned_parameters(placed_), mesh.data().size(), options.bucket_elements)),
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
  arriving_.wait();  // of a parameter that no forward pass has read
  optimizer_.step(gradients, {.learning_rate = learning_rate, .gradient_factor = clip_factor(norm, max_norm)},
                  masters_.narrow());
  if (zero_stage_ > 0) arriving_.start(parameters_.values());
}

void Policy::spread_masters() {
  masters_.write_back();
  if (zero_stage_ > 0) arriving_.start(parameters_.values());
}

std::vector<SavedPiece> Policy::pieces() const {
  std::vector<SavedPiece> pieces;
  const auto add = [&](const char* group, const std::vector<at::Tensor>& parts) {
    for (std::size_t i = 0; i < placed_.size(); ++i) {
      const OwnedRun run = saved_run(parameters_.plan(), i, placed_[i], data_rank());
      if (run.in_part.length == 0) continue;
      pieces.push_back({.group = group,
                        .name = placed_[i].tensor.name,
                        .shape = placed_[i].tensor.shape,
                        .piece = run.piece,
                        .value = view_of(parts[run.bucket], run.in_part)});
    }
  };
  add(kModelGroup, masters_.parts());
  add(kExpAvgGroup, optimizer_.exp_avg_parts());
  add(kExpAvgSqGroup, optimizer_.exp_avg_sq_parts());
  return pieces;
}

void Policy::restore(const Checkpoint& checkpoint, std::int64_t num_updates) {
  std::vector<LoadRequest> requests;
  const auto request = [&](const char* group, const std::vector<at::Tensor>& parts) {
    for_each_owned(parts, [&](const LogicalTensor& tensor, const TensorPiece& piece, const at::Tensor& values) {
      requests.push_back({.group = group, .name = tensor.name, .shape = tensor.shape, .piece = piece, .into = values});
    });
  };
  request(kModelGroup, masters_.parts());
  request(kExpAvgGroup, optimizer_.exp_avg_parts());
  request(kExpAvgSqGroup, optimizer_.exp_avg_sq_parts());
  load_pieces(checkpoint, requests, mesh_.world());
  optimizer_.resume(num_updates);
  spread_masters();
  arriving_.wait();  // a run that has nothing left to do never reads them
}

void Policy::take_initial_weights(const ModelSource& source) {
  if (!masters_.are_wider()) return;
  for_each_owned(
      masters_.parts(), [&](const LogicalTensor& tensor, const TensorPiece& piece, const at::Tensor& values) {
        const at::Tensor whole = source.borrow(tensor.name);
        const at::Tensor slice = piece.dim < 0 ? whole : whole.narrow(piece.dim, piece.part.begin, piece.part.length);
        values.copy_(slice.reshape({-1}).narrow(0, piece.flat.begin, piece.flat.length));
      });
  masters_.write_back();
}

void Policy::for_each_owned(const std::vector<at::Tensor>& parts, const VisitOwned& visit) const {
  for (std::size_t i = 0; i < placed_.size(); ++i) {
    const OwnedRun run = owned_run(parameters_.plan(), i, placed_[i], data_rank());
    if (run.in_part.length == 0) continue;
    visit(placed_[i].tensor, run.piece, view_of(parts[run.bucket], run.in_part));
  }
}

}  // namespace collimate
