#include "collimate/optim/shard_plan.hpp"

#include <algorithm>

#include "collimate/base/error.hpp"

namespace collimate {

std::vector<PlannedParameter> planned_parameters(std::span<const PlacedTensor> tensors) {
  std::vector<PlannedParameter> parameters;
  for (const auto& [tensor, placement, stages] : tensors) {
    parameters.push_back(
        {.elements = num_part_elements(tensor, placement), .gradient_sum = placement.gradient_sum, .stages = stages});
  }
  return parameters;
}

std::int64_t bucket_elements_for(std::span<const PlannedParameter> parameters) {
  std::int64_t all = 0;
  for (const PlannedParameter& parameter : parameters) all += parameter.elements;
  return std::clamp(all / 32, kLeastBucketElements, kMostBucketElements);
}

ShardPlan::ShardPlan(std::span<const PlannedParameter> parameters, int num_ranks,
                     std::optional<std::int64_t> bucket_elements)
    : num_ranks_(num_ranks) {
  const std::int64_t enough = bucket_elements.value_or(bucket_elements_for(parameters));
  check(num_ranks >= 1 && enough >= 1, "a plan has ranks, and buckets of some size");
  std::size_t first = 0;
  while (first < parameters.size()) {
    Bucket bucket{.flat = {.begin = flat_elements()},
                  .first_parameter = first,
                  .end_parameter = first,
                  .gradient_sum = parameters[first].gradient_sum,
                  .stages = parameters[first].stages,
                  .shard_begin = shard_elements_};
    const auto belongs = [&](const PlannedParameter& parameter) {
      return parameter.gradient_sum == bucket.gradient_sum && parameter.stages == bucket.stages;
    };
    std::int64_t elements = 0;
    while (bucket.end_parameter < parameters.size() && elements < enough && belongs(parameters[bucket.end_parameter])) {
      const std::int64_t own = parameters[bucket.end_parameter++].elements;
      parameters_.push_back({.begin = bucket.flat.begin + elements, .length = own});
      bucket_of_parameter_.push_back(buckets_.size());
      elements += own;
    }
    const std::int64_t part_elements = divide_up(divide_up(elements, num_ranks), kPartElements) * kPartElements;
    bucket.flat.length = part_elements * num_ranks;
    shard_elements_ += part_elements;
    first = bucket.end_parameter;
    buckets_.push_back(std::move(bucket));
  }
}

std::vector<std::size_t> ShardPlan::completion_order() const {
  std::vector<std::size_t> order;
  for (std::size_t i = buckets_.size(); i-- > 0;) order.push_back(i);
  std::ranges::stable_partition(order, [&](std::size_t i) { return buckets_[i].gradient_sum == GradientSum::kNone; });
  return order;
}

ShardRange ShardPlan::part(const Bucket& bucket, int rank) const {
  const std::int64_t length = part_elements(bucket);
  return {.begin = bucket.flat.begin + rank * length, .length = length};
}

ShardRange ShardPlan::parameter_part(std::size_t index, int rank) const {
  const ShardRange whole = parameters_.at(index);
  const ShardRange own = part(buckets_.at(bucket_of_parameter_.at(index)), rank);
  const std::int64_t begin = std::clamp<std::int64_t>(whole.begin - own.begin, 0, own.length);
  const std::int64_t end = std::clamp<std::int64_t>(whole.begin + whole.length - own.begin, begin, own.length);
  return {.begin = begin, .length = end - begin};
}

}  // namespace collimate
