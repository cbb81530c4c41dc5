#include "collimate/engine/batch_source.hpp"

#include "collimate/model/cost.hpp"

namespace collimate {

std::vector<PairLengths> BatchSource::lengths_of(std::span<const std::uint64_t> pair_indices) const {
  std::vector<PairLengths> lengths;
  lengths.reserve(pair_indices.size());
  for (const std::uint64_t pair : pair_indices) lengths.push_back(dataset_.lengths(pair));
  return lengths;
}

std::vector<std::vector<StreamSize>> BatchSource::stream_sizes(std::span<const std::uint64_t> pair_indices) const {
  const std::vector<PairLengths> lengths = lengths_of(pair_indices);
  std::vector<std::vector<StreamSize>> sizes;
  for (const auto& microbatches : pack(lengths, packing_).microbatches) {
    sizes.push_back(packed_sizes(lengths, microbatches, packing_.layout));
  }
  return sizes;
}

std::vector<StreamSize> packed_sizes(std::span<const PairLengths> lengths,
                                     std::span<const PackingPlan::MicroBatchIndices> microbatches,
                                     const PairLayout& layout) {
  std::vector<StreamSize> sizes;
  for (const auto& positions : microbatches) {
    std::vector<PairLengths> pairs;
    for (const std::size_t position : positions) pairs.push_back(lengths[position]);
    sizes.push_back(stream_size(pairs, layout));
  }
  return sizes;
}

BatchPlan BatchSource::plan(std::span<const std::uint64_t> pair_indices) const {
  BatchPlan plan;
  const std::vector<PairLengths> lengths = lengths_of(pair_indices);
  for (std::size_t i = 0; i < lengths.size(); ++i) {
    const double weight = dataset_.weight(pair_indices[i]);
    plan.totals.weight += weight;
    plan.totals.labelled_chosen_tokens += weight * static_cast<double>(lengths[i].num_labelled_chosen_tokens);
    plan.num_stream_tokens += static_cast<std::uint64_t>(num_stream_tokens(lengths[i], packing_.layout));
  }
  const PackingPlan packed = pack(lengths, packing_);
  for (const auto& positions : packed.microbatches.at(static_cast<std::size_t>(dp_rank_))) {
    auto& microbatch = plan.microbatches.emplace_back();
    for (const std::size_t position : positions) microbatch.push_back(pair_indices[position]);
  }
  return plan;
}

MicroBatch BatchSource::read(std::span<const std::uint64_t> pair_indices) const {
  return build_microbatch(dataset_.read(pair_indices), packing_.layout);
}

std::vector<MicroBatch> BatchSource::read_all(const BatchPlan& plan) const {
  std::vector<MicroBatch> microbatches;
  microbatches.reserve(plan.microbatches.size());
  for (const auto& pairs : plan.microbatches) microbatches.push_back(read(pairs));
  return microbatches;
}

PackingOptions packing_options(const BatchConfig& config, const MeshShape& mesh, const ModelSpec& spec,
                               Responses responses) {
  const ForwardFlops token = forward_flops(spec, {.num_tokens = 1, .num_labelled_rows = 1});
  const ForwardFlops key = forward_flops(spec, {.num_attended_keys = 1, .num_windowed_keys = 1});
  return {.num_dp_ranks = mesh.data,
          .microbatch_tokens = config.microbatch_tokens,
          .layout = {.prefix_sharing = config.prefix_sharing, .responses = responses},
          .cost = {.per_token = token.total(), .per_attended_key = key.total(), .window = spec.sliding_window}};
}

}  // namespace collimate
