#include "collimate/data/sampler.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/random.hpp"

namespace collimate {

namespace {

/// Moves a random subset of `count` elements, in random order, to the front (Fisher and Yates).
void shuffle_front(std::span<std::uint64_t> values, std::uint64_t count, const RandomStream& stream) {
  for (std::uint64_t i = 0; i < count; ++i) {
    std::swap(values[i], values[i + stream.below(i, values.size() - i)]);
  }
}

/// Appends what one epoch takes of a source whose pairs are [first, first + num_pairs), in file order: whole copies,
/// then a subset for the fractional part of the repeat.
void append_source(std::vector<std::uint64_t>& order, const SourceSize& source, std::uint64_t first,
                   const RandomStream& stream) {
  if (source.num_pairs == 0) return;
  std::vector<std::uint64_t> pairs(source.num_pairs);
  std::iota(pairs.begin(), pairs.end(), first);
  const std::uint64_t wanted = source.num_pairs_per_epoch();
  for (std::uint64_t copy = 0; copy < wanted / source.num_pairs; ++copy) {
    order.insert(order.end(), pairs.begin(), pairs.end());
  }
  const std::uint64_t rest = wanted % source.num_pairs;
  shuffle_front(pairs, rest, stream);
  pairs.resize(rest);
  std::ranges::sort(pairs);
  order.insert(order.end(), pairs.begin(), pairs.end());
}

/// Elements [batch_index * batch_size, ...) of a sequence of `size`, cut at its end.
std::pair<std::uint64_t, std::uint64_t> batch_range(std::uint64_t size, std::int64_t batch_size,
                                                    std::int64_t batch_index) {
  const std::uint64_t begin =
      std::min(size, static_cast<std::uint64_t>(batch_index) * static_cast<std::uint64_t>(batch_size));
  return {begin, std::min(size, begin + static_cast<std::uint64_t>(batch_size))};
}

std::int64_t num_batches(std::uint64_t size, std::int64_t batch_size) {
  const auto divisor = static_cast<std::uint64_t>(batch_size);
  return static_cast<std::int64_t>((size + divisor - 1) / divisor);
}

}  // namespace

std::uint64_t SourceSize::num_pairs_per_epoch() const {
  return static_cast<std::uint64_t>(std::llround(repeat * static_cast<double>(num_pairs)));
}

Sampler::Sampler(const SamplerOptions& options, std::vector<SourceSize> sources)
    : options_(options), sources_(std::move(sources)) {
  if (options_.global_batch_size < 1) {
    throw InputError(fmt::format("batch.global_batch_size: {}: at least 1 pair a step", options_.global_batch_size));
  }
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    if (std::isfinite(sources_[i].repeat) && sources_[i].repeat >= 0) continue;
    throw InputError(fmt::format("data.train.{}.repeat: {}: a number that is not negative", i, sources_[i].repeat));
  }
  if (num_pairs_per_epoch() == 0) {
    throw InputError("data.train: an epoch has no pairs: round(repeat * pairs) is 0 for every source");
  }
}

std::uint64_t Sampler::num_pairs_per_epoch() const {
  std::uint64_t sum = 0;
  for (const SourceSize& source : sources_) sum += source.num_pairs_per_epoch();
  return sum;
}

std::int64_t Sampler::num_batches_per_epoch() const {
  return num_batches(num_pairs_per_epoch(), options_.global_batch_size);
}

EpochPosition Sampler::position(std::int64_t global_step) const {
  check(global_step >= 0, "steps count from 0");
  return {.epoch = global_step / num_batches_per_epoch(), .batch = global_step % num_batches_per_epoch()};
}

double Sampler::epochs_done(std::int64_t global_step) const {
  const EpochPosition at = position(global_step);
  const std::uint64_t num_done = batch_range(num_pairs_per_epoch(), options_.global_batch_size, at.batch).first;
  return static_cast<double>(at.epoch) + static_cast<double>(num_done) / static_cast<double>(num_pairs_per_epoch());
}

std::vector<std::uint64_t> Sampler::epoch_order(std::int64_t epoch) const {
  const auto epoch_index = static_cast<std::uint64_t>(epoch);
  std::vector<std::uint64_t> order;
  order.reserve(num_pairs_per_epoch());
  std::uint64_t first = 0;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    const RandomStream subset(options_.seed, fmt::format("sampler.subset.{}", i), epoch_index);
    append_source(order, sources_[i], first, subset);
    first += sources_[i].num_pairs;
  }
  if (options_.shuffle) shuffle_front(order, order.size(), RandomStream(options_.seed, "sampler.order", epoch_index));
  return order;
}

std::vector<std::uint64_t> Sampler::batch(std::int64_t global_step) {
  const EpochPosition at = position(global_step);
  if (at.epoch != cached_epoch_) {
    cached_order_ = epoch_order(at.epoch);
    cached_epoch_ = at.epoch;
  }
  const auto [begin, end] = batch_range(cached_order_.size(), options_.global_batch_size, at.batch);
  return {cached_order_.begin() + static_cast<std::ptrdiff_t>(begin),
          cached_order_.begin() + static_cast<std::ptrdiff_t>(end)};
}

std::int64_t num_evaluation_batches(std::uint64_t num_pairs, std::int64_t batch_size) {
  check(batch_size >= 1, "an evaluation batch has room for a pair");
  return num_batches(num_pairs, batch_size);
}

std::vector<std::uint64_t> evaluation_batch(std::uint64_t num_pairs, std::int64_t batch_size,
                                            std::int64_t batch_index) {
  check(batch_index >= 0 && batch_index < num_evaluation_batches(num_pairs, batch_size),
        "an evaluation batch is one of the data set's");
  const auto [begin, end] = batch_range(num_pairs, batch_size, batch_index);
  std::vector<std::uint64_t> indices(end - begin);
  std::iota(indices.begin(), indices.end(), begin);
  return indices;
}

}  // namespace collimate
