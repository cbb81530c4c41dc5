#include "collimate/nn/offloaded_parameters.hpp"

#include <algorithm>
#include <utility>

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

bool has(const std::vector<std::size_t>& group, std::size_t index) {
  return std::ranges::find(group, index) != group.end();
}

}  // namespace

OffloadedParameters::OffloadedParameters(ModelShard& shard, ParameterLoader loader)
    : shard_(shard), loader_(std::move(loader)) {
  check(!shard.options().resident && !shard.options().trainable, "an offloaded shard is frozen and empty");
  const ShardLayout& layout = shard.layout();
  placed_ = rank_tensors(shard.spec(), layout.pipeline, layout.pp_rank, layout.axis.shard());
  const auto parameters = shard.parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) index_.emplace(parameters[i].value.unsafeGetTensorImpl(), i);
  is_held_.assign(parameters.size(), false);
  shard.set_keeper(this);
}

OffloadedParameters::~OffloadedParameters() { queue_.wait_until_idle(); }

OffloadedParameters::Group OffloadedParameters::group_of(std::span<const at::Tensor> parameters) const {
  Group group;
  for (const at::Tensor& parameter : parameters) group.push_back(index_.at(parameter.unsafeGetTensorImpl()));
  return group;
}

void OffloadedParameters::bring(std::size_t index) {
  if (is_held_[index]) return;
  at::Tensor value = shard_.parameters()[index].value;
  value.set_data(load_part(placed_[index], loader_, shard_.options()));
  is_held_[index] = true;
}

void OffloadedParameters::let_go(std::size_t index) {
  at::Tensor value = shard_.parameters()[index].value;
  value.set_data(at::empty({0}, value.options()));
  is_held_[index] = false;
}

void OffloadedParameters::finish_coming() {
  if (!work_) return;
  const WorkHandle work = std::exchange(work_, nullptr);
  coming_.clear();
  work->wait();
}

void OffloadedParameters::wait_for_values(std::span<const at::Tensor> parameters) {
  Group group = group_of(parameters);
  if (first_.empty()) first_ = group;
  finish_coming();
  for (std::size_t i = 0; i < is_held_.size(); ++i) {
    if (is_held_[i] && !has(group, i)) let_go(i);
  }
  for (const std::size_t index : group) bring(index);
  if (!current_.empty()) followers_[current_.front()] = group;
  current_ = std::move(group);
  const auto next = followers_.find(current_.front());
  // A pass ends with the head, and the next one begins with the embedding: together they would be the largest.
  if (next == followers_.end() || next->second == first_) return;
  coming_ = next->second;
  work_ = queue_.start([this](const std::stop_token& /*stop*/) {
    for (const std::size_t index : coming_) bring(index);
  });
}

void OffloadedParameters::begin_gradients(int /*stage*/) {
  throw InvariantError("offloaded parameters take no gradients");
}
void OffloadedParameters::add_gradient(const at::Tensor& /*parameter*/, const AddGradient& /*add*/) {
  begin_gradients(0);
}
void OffloadedParameters::finish_gradients(int /*stage*/) { begin_gradients(0); }

}  // namespace collimate
