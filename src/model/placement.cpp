#include "collimate/model/placement.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

enum class Kind {
  kVocabulary,   // rows of the vocabulary
  kQueryRows,    // output rows by heads
  kKeyRows,      // output rows by k/v heads
  kNeuronRows,   // output rows of the MLP
  kHeadColumns,  // input columns by heads
  kNeuronColumns,
  kResidual,  // whole; acts on rows of the residual stream
  kHeadNorm,  // whole; acts on the rank's own heads
};

struct Rule {
  std::string_view ending;
  Kind kind;
};

// By the ending of the name; the first that fits.
constexpr std::array kRules{
    Rule{"embed_tokens.weight", Kind::kVocabulary}, Rule{"lm_head.weight", Kind::kVocabulary},
    Rule{"q_proj.weight", Kind::kQueryRows},        Rule{"q_proj.bias", Kind::kQueryRows},
    Rule{"k_proj.weight", Kind::kKeyRows},          Rule{"k_proj.bias", Kind::kKeyRows},
    Rule{"v_proj.weight", Kind::kKeyRows},          Rule{"v_proj.bias", Kind::kKeyRows},
    Rule{"gate_proj.weight", Kind::kNeuronRows},    Rule{"gate_proj.bias", Kind::kNeuronRows},
    Rule{"up_proj.weight", Kind::kNeuronRows},      Rule{"up_proj.bias", Kind::kNeuronRows},
    Rule{"o_proj.weight", Kind::kHeadColumns},      Rule{"down_proj.weight", Kind::kNeuronColumns},
    Rule{"o_proj.bias", Kind::kResidual},           Rule{"down_proj.bias", Kind::kResidual},
    Rule{"q_norm.weight", Kind::kHeadNorm},         Rule{"k_norm.weight", Kind::kHeadNorm},
    Rule{"layernorm.weight", Kind::kResidual},      Rule{"model.norm.weight", Kind::kResidual},
};

Kind kind_of(const std::string& name) {
  const auto* rule = std::ranges::find_if(kRules, [&](const Rule& each) { return name.ends_with(each.ending); });
  check(rule != kRules.end(), fmt::format("{} has a rule of placement", name));
  return rule->kind;
}

// Heads in equal numbers.
ShardRange heads_of(std::int64_t num_heads, std::int64_t head_dim, const TensorShard& shard) {
  const ShardRange heads = shard_range(num_heads, shard.tp_size, shard.tp_rank);
  return {.begin = heads.begin * head_dim, .length = heads.length * head_dim};
}

Placement place_key_rows(const ModelSpec& spec, const TensorShard& shard) {
  const int replicas = num_kv_replicas(spec, shard.tp_size);
  if (replicas == 1) return {.dim = 0, .range = heads_of(spec.num_kv_heads, spec.head_dim, shard)};
  const std::int64_t head = shard.tp_rank / replicas;
  return {.dim = 0,
          .range = {.begin = head * spec.head_dim, .length = spec.head_dim},
          .gradient_sum = GradientSum::kKvReplicas,
          .is_primary = shard.tp_rank % replicas == 0};
}

// A whole copy on every rank. With a share of the work each, the copies' gradients are parts of a sum.
Placement place_whole(const TensorShard& shard, bool shares_work) {
  return {.gradient_sum = shares_work && shard.tp_size > 1 ? GradientSum::kTensor : GradientSum::kNone,
          .is_primary = shard.tp_rank == 0};
}

std::vector<std::int64_t> degrees_that_fit(const ModelSpec& spec) {
  std::vector<std::int64_t> degrees;
  for (std::int64_t degree = 1; degree <= spec.num_heads; ++degree) {
    const bool kv_fits = spec.num_kv_heads % degree == 0 || degree % spec.num_kv_heads == 0;
    if (spec.num_heads % degree == 0 && kv_fits && degree <= spec.vocab_size && degree <= spec.intermediate_size) {
      degrees.push_back(degree);
    }
  }
  return degrees;
}

}  // namespace

int num_kv_replicas(const ModelSpec& spec, int tp_size) {
  return tp_size <= spec.num_kv_heads ? 1 : tp_size / static_cast<int>(spec.num_kv_heads);
}

TensorShard tensor_shard(const MeshShape& shape, const Coordinate& place, bool sequence_parallel) {
  return {
      .tp_rank = place.tp_rank, .tp_size = shape.tensor, .sequence_parallel = sequence_parallel && shape.tensor > 1};
}

Placement place_tensor(const ModelSpec& spec, const LogicalTensor& tensor, const TensorShard& shard) {
  const auto even = [&](std::int64_t size) { return shard_range(size, shard.tp_size, shard.tp_rank); };
  switch (kind_of(tensor.name)) {
    case Kind::kVocabulary:
      return {.dim = 0, .range = even(spec.vocab_size)};
    case Kind::kQueryRows:
      return {.dim = 0, .range = heads_of(spec.num_heads, spec.head_dim, shard)};
    case Kind::kKeyRows:
      return place_key_rows(spec, shard);
    case Kind::kNeuronRows:
      return {.dim = 0, .range = even(spec.intermediate_size)};
    case Kind::kHeadColumns:
      return {.dim = 1, .range = heads_of(spec.num_heads, spec.head_dim, shard)};
    case Kind::kNeuronColumns:
      return {.dim = 1, .range = even(spec.intermediate_size)};
    case Kind::kResidual:
      return place_whole(shard, shard.sequence_parallel);
    case Kind::kHeadNorm:
      return place_whole(shard, true);
  }
  throw InvariantError("every kind of tensor has a placement");
}

std::vector<std::int64_t> part_shape(const LogicalTensor& tensor, const Placement& placement) {
  std::vector<std::int64_t> shape = tensor.shape;
  if (placement.dim >= 0) shape.at(static_cast<std::size_t>(placement.dim)) = placement.range.length;
  return shape;
}

std::int64_t num_part_elements(const LogicalTensor& tensor, const Placement& placement) {
  return LogicalTensor{tensor.name, part_shape(tensor, placement)}.num_elements();
}

void require_tensor_degree(const ModelSpec& spec, int tp_size) {
  std::vector<std::string> problems;
  if (spec.num_heads % tp_size != 0) {
    problems.push_back(fmt::format("it does not divide the {} attention heads", spec.num_heads));
  }
  if (spec.num_kv_heads % tp_size != 0 && tp_size % spec.num_kv_heads != 0) {
    problems.push_back(
        fmt::format("it neither divides the {} key/value heads nor is a multiple of them", spec.num_kv_heads));
  }
  if (tp_size > spec.vocab_size) problems.push_back(fmt::format("the vocabulary has {} entries", spec.vocab_size));
  if (tp_size > spec.intermediate_size) {
    problems.push_back(fmt::format("the MLP has {} neurons", spec.intermediate_size));
  }
  if (problems.empty()) return;
  throw InputError(fmt::format("parallel.tensor: {}: {}; degrees that fit this model: {}", tp_size,
                               fmt::join(problems, ", and "), fmt::join(degrees_that_fit(spec), ", ")));
}

}  // namespace collimate
