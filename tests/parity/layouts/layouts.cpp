#include "layouts.hpp"

#include <fmt/format.h>

#include "support/tiny_spec.hpp"

namespace collimate::test {

namespace {

constexpr auto kGpipe = ScheduleType::kGpipe;
constexpr auto k1f1b = ScheduleType::k1f1b;
constexpr auto kInterleaved = ScheduleType::kInterleaved;
constexpr auto kZbH1 = ScheduleType::kZbH1;
constexpr auto kZbv = ScheduleType::kZbv;

void add_small(std::vector<Layout>& layouts) {
  // One rank: packing, virtual stages and zero bubble on their own.
  layouts.push_back({.model = ModelKind::kAllOptions});
  layouts.push_back({.schedule = kInterleaved, .virtual_stages = 3, .prefix_sharing = false});
  layouts.push_back({.schedule = kZbv, .virtual_stages = 2, .model = ModelKind::kTied, .zero_stage = 2});
  // Two ranks on one axis.
  layouts.push_back({.data = 2, .model = ModelKind::kTied, .zero_stage = 2});
  layouts.push_back({.data = 2, .global_batch_size = 1, .zero_stage = 0});
  layouts.push_back({.tensor = 2});
  layouts.push_back({.tensor = 2, .sequence_parallel = false, .model = ModelKind::kAllOptions});
  layouts.push_back(
      {.tensor = 2, .model = ModelKind::kAllOptions, .microbatch_tokens = 1, .recompute = Recompute::kFull});
  layouts.push_back({.tensor = 2, .model = ModelKind::kOneKvHead, .prefix_sharing = false});
  layouts.push_back({.pipeline = 2, .schedule = kGpipe});
  layouts.push_back({.pipeline = 2, .model = ModelKind::kTied});
  layouts.push_back({.pipeline = 2, .schedule = kInterleaved, .virtual_stages = 2, .model = ModelKind::kTied});
  layouts.push_back({.pipeline = 2, .schedule = kZbH1, .model = ModelKind::kAllOptions});
  layouts.push_back(
      {.pipeline = 2, .schedule = kZbv, .virtual_stages = 2, .model = ModelKind::kTied, .recompute = Recompute::kFull});
  layouts.push_back({.pipeline = 2, .microbatch_tokens = 400, .global_batch_size = 2});
}

void add_four(std::vector<Layout>& layouts) {
  layouts.push_back({.data = 4, .model = ModelKind::kAllOptions, .global_batch_size = 3, .zero_stage = 0});
  layouts.push_back({.tensor = 4, .model = ModelKind::kOneKvHead});
  layouts.push_back({.tensor = 4, .sequence_parallel = false});
  layouts.push_back({.tensor = 4, .model = ModelKind::kAllOptions, .recompute = Recompute::kSelective});
  layouts.push_back({.pipeline = 4, .schedule = kGpipe, .microbatch_tokens = 1});
  layouts.push_back({.pipeline = 4, .model = ModelKind::kTied, .microbatch_tokens = 1});
  layouts.push_back({.pipeline = 4, .schedule = kInterleaved, .virtual_stages = 2, .num_layers = 9});
  layouts.push_back({.pipeline = 4, .schedule = kInterleaved, .virtual_stages = 3, .num_layers = 13});
  layouts.push_back({.pipeline = 4, .schedule = kZbH1, .num_layers = 6, .microbatch_tokens = 1});
  layouts.push_back({.pipeline = 4,
                     .schedule = kZbv,
                     .virtual_stages = 2,
                     .num_layers = 9,
                     .microbatch_tokens = 1,
                     .recompute = Recompute::kSelective});
  layouts.push_back({.pipeline = 4, .schedule = kZbH1, .model = ModelKind::kTied, .global_batch_size = 2});
  layouts.push_back({.data = 2,
                     .pipeline = 2,
                     .schedule = kZbv,
                     .virtual_stages = 2,
                     .model = ModelKind::kAllOptions,
                     .zero_stage = 2});
  layouts.push_back({.data = 2, .tensor = 2, .model = ModelKind::kAllOptions, .zero_stage = 2});
  layouts.push_back({.data = 2, .tensor = 2, .sequence_parallel = false, .model = ModelKind::kOneKvHead});
  layouts.push_back({.pipeline = 2, .tensor = 2, .model = ModelKind::kTied});
  layouts.push_back({.pipeline = 2, .tensor = 2, .schedule = kZbH1, .model = ModelKind::kOneKvHead});
  layouts.push_back({.data = 2,
                     .pipeline = 2,
                     .schedule = kInterleaved,
                     .virtual_stages = 2,
                     .global_batch_size = 1,
                     .zero_stage = 2});
}

void add_eight(std::vector<Layout>& layouts) {
  layouts.push_back({.data = 2,
                     .pipeline = 2,
                     .tensor = 2,
                     .schedule = kZbH1,
                     .model = ModelKind::kAllOptions,
                     .recompute = Recompute::kSelective});
  layouts.push_back({.data = 2, .pipeline = 2, .tensor = 2, .sequence_parallel = false, .schedule = kGpipe});
  layouts.push_back(
      {.pipeline = 2, .tensor = 4, .schedule = kZbv, .virtual_stages = 2, .model = ModelKind::kOneKvHead});
  layouts.push_back({.pipeline = 4, .tensor = 2, .schedule = kInterleaved, .virtual_stages = 2, .num_layers = 9});
  layouts.push_back({.pipeline = 4, .tensor = 2, .schedule = kZbH1, .model = ModelKind::kTied});
  layouts.push_back({.data = 4, .tensor = 2, .model = ModelKind::kTied, .prefix_sharing = false, .zero_stage = 2});
  layouts.push_back({.data = 2, .tensor = 4, .model = ModelKind::kAllOptions});
  layouts.push_back({.data = 4, .pipeline = 2, .schedule = kZbH1, .model = ModelKind::kAllOptions, .zero_stage = 2});
}

void add_sixteen(std::vector<Layout>& layouts) {
  layouts.push_back({.data = 2, .pipeline = 2, .tensor = 4, .model = ModelKind::kAllOptions});
  layouts.push_back({.data = 2, .pipeline = 4, .tensor = 2, .schedule = kZbv, .virtual_stages = 2, .num_layers = 9});
  layouts.push_back(
      {.data = 4, .pipeline = 2, .tensor = 2, .schedule = kZbH1, .model = ModelKind::kTied, .zero_stage = 2});
  layouts.push_back({.pipeline = 4,
                     .tensor = 4,
                     .schedule = kInterleaved,
                     .virtual_stages = 3,
                     .num_layers = 13,
                     .model = ModelKind::kOneKvHead});
  layouts.push_back({.pipeline = 4, .tensor = 4, .sequence_parallel = false, .schedule = kGpipe});
}

}  // namespace

ParallelConfig Layout::parallel() const {
  return {.data = data,
          .pipeline = pipeline,
          .tensor = tensor,
          .sequence_parallel = sequence_parallel,
          .schedule = schedule,
          .virtual_stages = virtual_stages,
          .zero_stage = zero_stage};
}

ModelSpec Layout::spec() const {
  const bool has_all_options = model == ModelKind::kAllOptions || model == ModelKind::kWideAllOptions;
  ModelSpec spec = has_all_options ? tiny_spec_with_all_options() : tiny_spec();
  spec.num_layers = num_layers;
  spec.windowed_layers.assign(static_cast<std::size_t>(num_layers), false);
  if (model == ModelKind::kThin70B) {
    spec.num_heads = 64;
    spec.num_kv_heads = 8;
    spec.head_dim = 2;
    spec.hidden_size = 128;
    spec.intermediate_size = 448;
  }
  if (model == ModelKind::kWide || model == ModelKind::kWideAllOptions) {
    spec.vocab_size = 2000;
    spec.hidden_size = 256;
    spec.intermediate_size = 704;
    spec.num_heads = 8;
    spec.num_kv_heads = 4;
    spec.head_dim = 32;
  }
  if (model == ModelKind::kWideAllOptions) spec.sliding_window = 100;
  if (has_all_options) spec.windowed_layers[1] = spec.windowed_layers[4] = true;
  if (model == ModelKind::kOneKvHead) spec.num_kv_heads = 1;
  if (model == ModelKind::kTied) spec.tie_word_embeddings = true;
  return spec;
}

std::string Layout::name() const {
  constexpr const char* kModels[] = {"plain", "one_kv_head",     "tied", "all_options", "thin_70b",
                                     "wide",  "wide_all_options"};
  return fmt::format("dp{}_pp{}_tp{}_{}_{}_v{}_layers{}_{}_tokens{}_{}_batch{}_zero{}_again{}", data, pipeline, tensor,
                     sequence_parallel ? "sp" : "nosp", enum_name(schedule), virtual_stages, num_layers,
                     kModels[static_cast<int>(model)], microbatch_tokens, prefix_sharing ? "shared" : "apart",
                     global_batch_size, zero_stage, enum_name(recompute));
}

Layout deep_layout() {
  return {.pipeline = 4, .tensor = 8, .num_layers = 80, .model = ModelKind::kThin70B, .num_steps = 2};
}

std::vector<Layout> all_layouts() {
  std::vector<Layout> layouts;
  add_small(layouts);
  add_four(layouts);
  add_eight(layouts);
  add_sixteen(layouts);
  return layouts;
}

std::vector<Layout> every_third_layout() {
  std::vector<Layout> some;
  const std::vector<Layout> layouts = all_layouts();
  for (std::size_t i = 0; i < layouts.size(); i += 3) some.push_back(layouts[i]);
  return some;
}

}  // namespace collimate::test
