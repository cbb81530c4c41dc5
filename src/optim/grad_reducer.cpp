#include "collimate/optim/grad_reducer.hpp"

#include <cmath>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/zeros.h>

#include "collimate/base/error.hpp"
#include "collimate/optim/flat_parameters.hpp"
#include "collimate/optim/gradient.hpp"
#include "collimate/optim/parameter_gather.hpp"
#include "collimate/optim/reduction_limits.hpp"

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

GradReducer::GradReducer(ProcessMesh& mesh, const ShardPlan& plan, ReducedParameters parameters, int zero_stage)
    : mesh_(mesh),
      plan_(plan),
      placements_(std::move(parameters.placements)),
      options_(parameters.gradients),
      is_sharded_(zero_stage == 2),
      kv_replicas_(mesh.add_group("kv_replicas", kv_neighbours(mesh.shape(), mesh.coordinate(),
                                                               num_kv_replicas(parameters.spec, mesh.shape().tensor)))),
      tied_(mesh.add_group("tied", tied_partners(mesh.shape(), mesh.coordinate(), parameters.spec, parameters.layout))),
      progress_(plan, is_sharded_),
      memory_(at::zeros({is_sharded_ ? plan.shard_elements() : plan.flat_elements()}, options_)),
      wholes_(plan.buckets().size()),
      zero_if_finite_(at::zeros({}, options_)) {
  check(placements_.size() == plan.num_parameters(), "every parameter has a placement");
  for (std::size_t i = 0; i < wholes_.size(); ++i) {
    const Bucket& bucket = plan.buckets()[i];
    if (!is_sharded_) wholes_[i] = view_of(memory_, bucket.flat);
    const ShardRange own{.begin = bucket.shard_begin, .length = plan.part_elements(bucket)};
    parts_.push_back(view_of(memory_, is_sharded_ ? own : plan.part(bucket, mesh.data().rank())));
  }
}

Communicator* GradReducer::copies_of(const Bucket& bucket) const {
  switch (bucket.gradient_sum) {
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

void GradReducer::begin_step(int num_microbatches) {
  progress_.begin_step(num_microbatches);
  memory_.zero_();
  zero_if_finite_.zero_();
}

at::Tensor& GradReducer::whole_of(std::size_t bucket) {
  at::Tensor& whole = wholes_.at(bucket);
  if (!whole.defined()) whole = at::zeros({plan_.buckets()[bucket].flat.length}, options_);
  return whole;
}

void GradReducer::take(std::size_t parameter, const std::function<void(const at::Tensor& sum)>& add) {
  const at::NoGradGuard no_grad;
  const std::size_t bucket = plan_.bucket_of(parameter);
  ShardRange range = plan_.parameter(parameter);
  range.begin -= plan_.buckets()[bucket].flat.begin;
  add(view_of(whole_of(bucket), range));
  reduce(progress_.take(parameter));
}

void GradReducer::finish(int stage) {
  const at::NoGradGuard no_grad;
  reduce(progress_.finish(stage));
}

void GradReducer::reduce(const BucketProgress::Buckets& buckets) {
  for (const std::size_t i : buckets) {
    if (is_sharded_ && in_flight_.size() == kMostReductionsInFlight) retire_first();
    const at::Tensor whole = whole_of(i);
    const ShardRange own = plan_.part(plan_.buckets()[i], mesh_.data().rank());
    at::Tensor part = whole.narrow(0, own.begin - plan_.buckets()[i].flat.begin, own.length);
    // Here it still says which rank a fault comes from.
    zero_if_finite_.add_(zero_if_finite(whole));
    if (is_sharded_) wholes_[i] = at::Tensor();
    in_flight_.push_back(
        {.bucket = i, .whole = whole, .part = part, .work = mesh_.data().start_reduce_scatter(part, whole)});
  }
}

void GradReducer::retire_first() {
  InFlight& first = in_flight_.front();
  first.work->wait();
  if (is_sharded_) parts_[first.bucket].add_(first.part);
  in_flight_.pop_front();
}

bool GradReducer::end_passes() {
  check(progress_.is_complete(), "a step's gradients come before they are used");
  while (!in_flight_.empty()) retire_first();
  return zero_if_finite_.item<double>() == 0.0;
}

void GradReducer::sum_copies() {
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    if (Communicator* const copies = copies_of(plan_.buckets()[i])) copies->all_reduce(parts_[i], ReduceOp::kSum);
  }
}

at::Tensor GradReducer::gather() {
  check(!is_sharded_, "gradients that are let go of cannot be gathered");
  gather_flat(mesh_.data(), plan_, memory_);
  return memory_;
}

double GradReducer::global_norm() const {
  at::Tensor total = at::zeros({1}, options_.dtype(at::kDouble));
  for (std::size_t i = 0; i < placements_.size(); ++i) {
    if (!placements_[i].is_primary) continue;
    const ShardRange own = plan_.parameter_part(i, mesh_.data().rank());
    total.add_(sum_of_squares(view_of(parts_[plan_.bucket_of(i)], own)));
  }
  mesh_.data().all_reduce(total, ReduceOp::kSum);
  mesh_.model().all_reduce(total, ReduceOp::kSum);
  return std::sqrt(total.item<double>());
}

}  // namespace collimate
