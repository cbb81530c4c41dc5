#include "memory_table.hpp"

#include <algorithm>
#include <ranges>

#include <fmt/format.h>

#include "collimate/base/log.hpp"
#include "collimate/engine/memory_check.hpp"

namespace collimate::app {

namespace {

constexpr std::size_t kMostShown = 32;

std::vector<RankMemory> largest_by_pipeline_rank(const std::vector<RankMemory>& ranks, const MeshShape& shape) {
  std::vector<RankMemory> largest;
  const std::ptrdiff_t group = std::ssize(ranks) / shape.pipeline;
  for (auto begin = ranks.begin(); begin != ranks.end(); begin += group) {
    largest.push_back(*std::ranges::max_element(begin, begin + group, {}, &RankMemory::peak));
  }
  return largest;
}

}  // namespace

void print_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape, const PackStep& pack,
                  const char* prefix) {
  std::vector<RankMemory> ranks = job_memory(config, spec, shape, pack(config, shape));
  const bool is_short = ranks.size() > kMostShown;
  if (is_short) ranks = largest_by_pipeline_rank(ranks, shape);
  print_answer("{}memory of tensors by rank{}, in a step with the longest microbatch of the first epoch:\n", prefix,
               is_short ? ", the largest of each part of the pipeline" : "");
  for (const RankMemory& rank : ranks) print_answer("{}rank {}: {}\n", prefix, rank.world_rank, text_of(rank));
  if (!config.runtime.memory_bytes) return;
  const RankMemory& worst = *std::ranges::max_element(ranks, {}, &RankMemory::peak);
  require_fit(worst, *config.runtime.memory_bytes, config, spec, shape, pack);
}

}  // namespace collimate::app
