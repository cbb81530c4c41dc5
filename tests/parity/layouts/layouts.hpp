#pragma once
// The layouts that must all give the result of one rank with one pair a microbatch.

#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "collimate/config/dtype.hpp"
#include "collimate/mesh/config.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/spec.hpp"

namespace collimate::test {

/// What a model has that a layout may trip over.
enum class ModelKind {
  kPlain,       ///< 4 heads on 2 k/v heads
  kOneKvHead,   ///< fewer k/v heads than tensor ranks
  kTied,        ///< embedding and head are one tensor
  kAllOptions,  ///< every bias, q/k norm, tied, a sliding window in some layers
  kThin70B,     ///< the layers and heads of Llama 3 70B, each head two wide
  kWide,        ///< wide enough for its tensors to outweigh everything else
  kWideAllOptions,
};

struct Layout {
  int data = 1;
  int pipeline = 1;
  int tensor = 1;
  bool sequence_parallel = true;
  ScheduleType schedule = ScheduleType::k1f1b;
  int virtual_stages = 1;
  int num_layers = 5;
  ModelKind model = ModelKind::kPlain;
  int microbatch_tokens = 40;  ///< 1: one pair a microbatch
  bool prefix_sharing = true;
  int global_batch_size = 7;
  int num_steps = 5;
  int zero_stage = 1;
  Recompute recompute = Recompute::kNone;
  ComputeDtype dtype = ComputeDtype::kFloat64;
  std::optional<std::int64_t> bucket_elements = 1500;  ///< several buckets, some of more than one parameter

  [[nodiscard]] int num_ranks() const { return data * pipeline * tensor; }
  [[nodiscard]] ParallelConfig parallel() const;
  [[nodiscard]] ModelSpec spec() const;
  [[nodiscard]] std::string name() const;
  friend std::ostream& operator<<(std::ostream& stream, const Layout& layout) { return stream << layout.name(); }
};

/// All 80 layers of a 70B Llama over 32 ranks.
Layout deep_layout();

/// All of them, or every third: what is tested each time.
std::vector<Layout> all_layouts();
std::vector<Layout> every_third_layout();

}  // namespace collimate::test
