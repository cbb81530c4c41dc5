#include "collimate/optim/bucket_progress.hpp"

#include <algorithm>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

template <class Value>
bool contains(const std::vector<Value>& values, const Value& value) {
  return std::ranges::find(values, value) != values.end();
}

}  // namespace

BucketProgress::BucketProgress(const ShardPlan& plan, bool every_microbatch)
    : plan_(plan),
      every_microbatch_(every_microbatch),
      order_(plan.completion_order()),
      num_finished_(plan.buckets().size(), 0),
      num_missing_(plan.buckets().size(), 0) {}

void BucketProgress::begin_step(int num_microbatches) {
  check(is_complete(), "a step ends before the next one begins");
  num_microbatches_ = num_microbatches;
  std::ranges::fill(num_finished_, 0);
}

bool BucketProgress::is_complete() const {
  for (std::size_t i = 0; i < num_finished_.size(); ++i) {
    if (num_finished_[i] != num_microbatches_ * static_cast<int>(plan_.buckets()[i].stages.size())) return false;
  }
  return true;
}

// Whether the next stage that is finished makes the bucket whole.
bool BucketProgress::becomes_due(std::size_t bucket) const {
  const int per_microbatch = static_cast<int>(plan_.buckets()[bucket].stages.size());
  const int needed = per_microbatch * (every_microbatch_ ? 1 : num_microbatches_);
  return (num_finished_[bucket] + 1) % needed == 0;
}

void BucketProgress::begin(int stage) {
  has_begun_ = true;
  num_reduced_ = 0;
  closing_.clear();
  for (const std::size_t i : order_) {
    const Bucket& bucket = plan_.buckets()[i];
    if (!contains(bucket.stages, stage) || !becomes_due(i)) continue;
    closing_.push_back(i);
    num_missing_[i] = bucket.end_parameter - bucket.first_parameter;
  }
}

BucketProgress::Buckets BucketProgress::take(std::size_t parameter) {
  const std::size_t own = plan_.bucket_of(parameter);
  if (!has_begun_ || !contains(closing_, own)) return {};
  check(num_missing_[own] > 0, "a backward pass gives a gradient once, before its bucket is reduced");
  --num_missing_[own];
  Buckets due;
  while (num_reduced_ < closing_.size() && num_missing_[closing_[num_reduced_]] == 0) {
    due.push_back(closing_[num_reduced_++]);
  }
  return due;
}

BucketProgress::Buckets BucketProgress::finish(int stage) {
  if (!has_begun_) begin(stage);
  const Buckets due(closing_.begin() + static_cast<std::ptrdiff_t>(num_reduced_), closing_.end());
  for (const std::size_t i : order_) {
    if (contains(plan_.buckets()[i].stages, stage)) ++num_finished_[i];
  }
  has_begun_ = false;
  closing_.clear();
  return due;
}

}  // namespace collimate
