#include "collimate/engine/memory_check.hpp"

#include <algorithm>
#include <array>
#include <limits>

#include <ATen/DeviceAccelerator.h>
#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/host_memory.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/data/sampler.hpp"
#include "collimate/engine/batch_source.hpp"

namespace collimate {

namespace {

StreamSize largest_of(std::span<const StreamSize> streams) {
  StreamSize largest;
  for (const StreamSize& stream : streams) {
    largest.num_stream_tokens = std::max(largest.num_stream_tokens, stream.num_stream_tokens);
    largest.num_labelled_rows = std::max(largest.num_labelled_rows, stream.num_labelled_rows);
    largest.longest_segment = std::max(largest.longest_segment, stream.longest_segment);
  }
  return largest;
}

// What one rank may meet in any step: the microbatches of the rank and step with the longest of all, and in its place
// one that is no smaller than any.
std::vector<StreamSize> longest_share(const BatchSource& source, Sampler sampler, std::int64_t num_steps) {
  std::vector<StreamSize> longest;
  StreamSize largest;
  for (std::int64_t step = 0; step < num_steps; ++step) {
    for (std::vector<StreamSize>& share : source.stream_sizes(sampler.batch(step))) {
      const StreamSize own = largest_of(share);
      const bool is_longest = longest.empty() || own.num_stream_tokens > largest.num_stream_tokens;
      largest = largest_of(std::array{largest, own});
      if (is_longest) longest = std::move(share);
    }
  }
  *std::ranges::max_element(longest, {}, &StreamSize::num_stream_tokens) = largest;
  return longest;
}

std::vector<StreamSize> longest_step(const RunConfig& config, const MeshShape& shape, const ModelSpec& spec,
                                     const PreferenceDataset& dataset) {
  const Sampler sampler(
      {.seed = config.train.seed, .shuffle = config.data.shuffle, .global_batch_size = config.batch.global_batch_size},
      dataset.source_sizes());
  std::int64_t num_steps = sampler.num_batches_per_epoch();
  if (config.train.max_steps > 0) num_steps = std::min(num_steps, config.train.max_steps);
  const Responses responses = needed_responses(loss_needs(config.objective));
  const BatchSource source(dataset, packing_options(config.batch, shape, spec, responses), 0);
  return longest_share(source, sampler, num_steps);
}

std::string limit_name(const RunConfig& config) {
  if (config.runtime.memory_bytes) return "runtime.memory_bytes";
  return config.runtime.device == DeviceType::kCuda ? "what its device has free"
                                                    : "its share of what the host has free";
}

std::int64_t free_device_memory(c10::Device device) {
  return static_cast<std::int64_t>(at::accelerator::getMemoryInfo(device.index()).first);
}

}  // namespace

PackStep step_packer(const ModelSpec& spec, const PreferenceDataset& dataset) {
  return [&spec, &dataset](const RunConfig& config, const MeshShape& shape) {
    return longest_step(config, shape, spec, dataset);
  };
}

void require_fit(const RankMemory& memory, std::int64_t limit, const RunConfig& config, const ModelSpec& spec,
                 const MeshShape& shape, const PackStep& pack) {
  if (memory.peak() <= limit) return;
  const auto change = nearest_fit(config, spec, shape, pack, limit);
  const std::string advice =
      change ? fmt::format("{} would fit ({})", change->settings, text_of_bytes(change->bytes))
             : std::string(
                   "no recomputation, smaller microbatches or division over these ranks would fit: take more "
                   "ranks and divide the model (parallel.pipeline, parallel.tensor)");
  throw InputError(fmt::format("rank {} would take {}, but has {} ({}); {}", memory.world_rank, text_of(memory),
                               text_of_bytes(limit), limit_name(config), advice));
}

std::int64_t memory_limit(const RuntimeConfig& config, const ProcessMesh& mesh) {
  const std::string own_host = host_name();
  const std::vector<std::string> hosts = mesh.world().all_gather_bytes(own_host);
  if (config.memory_bytes) return *config.memory_bytes;
  if (mesh.device().is_cuda()) return free_device_memory(mesh.device());
  const auto available = available_host_memory();
  if (!available) return std::numeric_limits<std::int64_t>::max();
  // The host's ranks look at the same time, so each of them sees all of it.
  return *available / std::ranges::count(hosts, own_host);
}

RankMemory require_training_fits(const RunConfig& config, const ModelSpec& spec, const PreferenceDataset& dataset,
                                 const ProcessMesh& mesh) {
  const std::int64_t limit = memory_limit(config.runtime, mesh);
  return make_agreed(mesh.world(), [&] {
    const PackStep pack = step_packer(spec, dataset);
    const RankMemory memory = rank_memory(config, spec, mesh.shape(), mesh.world().rank(), pack(config, mesh.shape()));
    require_fit(memory, limit, config, spec, mesh.shape(), pack);
    return memory;
  });
}

std::vector<StreamSize> evaluation_streams(const BatchSource& source, std::int64_t eval_batch_size) {
  const std::uint64_t num_pairs = source.dataset().size();
  std::vector<StreamSize> streams;
  for (std::int64_t i = 0; i < num_evaluation_batches(num_pairs, eval_batch_size); ++i) {
    for (const auto& microbatches : source.stream_sizes(evaluation_batch(num_pairs, eval_batch_size, i))) {
      streams.insert(streams.end(), microbatches.begin(), microbatches.end());
    }
  }
  return streams;
}

void require_forward_fits(const RunConfig& config, const ForwardWeights& weights, const ModelSpec& spec,
                          std::span<const StreamSize> streams, const ProcessMesh& mesh) {
  const StreamSize largest = largest_of(streams);
  const std::int64_t limit = memory_limit(config.runtime, mesh);
  const int rank = mesh.world().rank();
  run_agreed(mesh.world(), [&] {
    const MemoryUse use = rank_forward_memory(config, weights, spec, mesh.shape(), rank, largest);
    if (use.total() <= limit) return;
    throw InputError(
        fmt::format("rank {} would take {} ({}), but has {} ({}); a smaller batch.microbatch_tokens takes less, and so "
                    "does a model that is divided over more ranks (parallel.tensor, parallel.pipeline)",
                    rank, text_of_bytes(use.total()), text_of(use), text_of_bytes(limit), limit_name(config)));
  });
}

}  // namespace collimate
