#include "collimate/optim/gradient.hpp"

#include <cmath>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/aminmax.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

std::vector<int> kv_neighbours(const MeshShape& shape, const Coordinate& place, int num_replicas) {
  std::vector<int> members;
  for (const int rank : ranks_along(shape, place, MeshAxis::kTensor)) {
    if (coordinate_of(shape, rank).tp_rank / num_replicas == place.tp_rank / num_replicas) members.push_back(rank);
  }
  return members;
}

// The holders of embedding and tied head, for a rank that is one of them; any other rank is alone.
std::vector<int> tied_partners(const MeshShape& shape, const Coordinate& place, const ModelSpec& spec,
                               const PipelineLayout& layout) {
  const auto is_holder = [&](int rank) {
    const int pp_rank = coordinate_of(shape, rank).pp_rank;
    return spec.tie_word_embeddings && (pp_rank == layout.first_rank() || pp_rank == layout.last_rank());
  };
  std::vector<int> members;
  const int own = world_rank_of(shape, place);
  for (const int rank : ranks_along(shape, place, MeshAxis::kPipeline)) {
    if (rank == own || (is_holder(own) && is_holder(rank))) members.push_back(rank);
  }
  return members;
}

}  // namespace

GradReducer::GradReducer(ProcessMesh& mesh, const ModelSpec& spec, const PipelineLayout& layout,
                         std::vector<Placement> placements)
    : mesh_(mesh),
      placements_(std::move(placements)),
      kv_replicas_(mesh.add_group(
          "kv_replicas", kv_neighbours(mesh.shape(), mesh.coordinate(), num_kv_replicas(spec, mesh.shape().tensor)))),
      tied_(mesh.add_group("tied", tied_partners(mesh.shape(), mesh.coordinate(), spec, layout))) {}

Communicator* GradReducer::group_of(GradientSum sum) const {
  switch (sum) {
    case GradientSum::kNone:
      return nullptr;
    case GradientSum::kTensor:
      return &mesh_.tensor();
    case GradientSum::kKvReplicas:
      return &kv_replicas_;
    case GradientSum::kTied:
      return &tied_;
  }
  throw InvariantError("every sum of gradients has its ranks");
}

void GradReducer::reduce(FlatParameters& parameters) const {
  const ShardPlan& plan = parameters.plan();
  for (const Bucket& bucket : plan.buckets()) {
    at::Tensor whole = view_of(parameters.gradients(), bucket.flat);
    if (Communicator* const copies = group_of(bucket.gradient_sum)) copies->all_reduce(whole, ReduceOp::kSum);
    at::Tensor own = view_of(parameters.gradients(), plan.part(bucket, mesh_.data().rank()));
    mesh_.data().reduce_scatter(own, whole);
  }
}

void GradReducer::gather(const FlatParameters& parameters, const at::Tensor& flat) const {
  const ShardPlan& plan = parameters.plan();
  for (const Bucket& bucket : plan.buckets()) {
    at::Tensor whole = view_of(flat, bucket.flat);
    mesh_.data().all_gather(whole, view_of(flat, plan.part(bucket, mesh_.data().rank())));
  }
}

double GradReducer::global_norm(const FlatParameters& parameters) const {
  const ShardPlan& plan = parameters.plan();
  check(placements_.size() == plan.num_parameters(), "every parameter has a placement");
  at::Tensor total = at::zeros({1}, parameters.gradients().options().dtype(at::kDouble));
  for (std::size_t i = 0; i < placements_.size(); ++i) {
    if (!placements_[i].is_primary) continue;
    total.add_(sum_of_squares(view_of(parameters.gradients(), plan.parameter_part(i, mesh_.data().rank()))));
  }
  mesh_.data().all_reduce(total, ReduceOp::kSum);
  mesh_.model().all_reduce(total, ReduceOp::kSum);
  return std::sqrt(total.item<double>());
}

bool is_finite(const at::Tensor& gradients) {
  if (gradients.numel() == 0) return true;
  // One pass without a temporary; both ends are NaN as soon as one value is.
  const auto [low, high] = at::aminmax(gradients);
  return std::isfinite(low.item<double>()) && std::isfinite(high.item<double>());
}

at::Tensor sum_of_squares(const at::Tensor& values) {
  // libtorch's own norm squares float32 values in float32, whatever dtype it is told to sum in.
  constexpr std::int64_t kPieceElements = std::int64_t{1024} * 1024;
  at::Tensor squares = at::zeros({}, values.options().dtype(at::kDouble));
  for (const at::Tensor& piece : values.split(kPieceElements)) {
    const at::Tensor wide = piece.to(at::kDouble);
    squares.add_(wide.dot(wide));
  }
  return squares;
}

void clip_gradients(at::TensorList parts, double norm, double max_norm) {
  if (max_norm <= 0.0) return;
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1.0) return;
  for (const at::Tensor& part : parts) part.mul_(factor);
}

}  // namespace collimate
