#include "training.hpp"

#include <algorithm>
#include <cmath>

#include "collimate/comm/solo.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/memory_meter.hpp"
#include "collimate/engine/step_traffic.hpp"
#include "collimate/plan/rank_memory.hpp"
#include "collimate/train/train_step.hpp"
#include "gather_state.hpp"
#include "support/preference_file.hpp"
#include "support/tiny_model.hpp"

namespace collimate::test {

namespace {

constexpr std::uint64_t kNumPairs = 11;

std::vector<TestPair> uneven_pairs(int most_tokens) {
  std::vector<TestPair> pairs = random_preference_pairs(23, kNumPairs, most_tokens, 29);
  for (std::size_t i = 0; i < pairs.size(); ++i) {
    pairs[i].label = 1.0F - 0.05F * static_cast<float>(i);
    pairs[i].weight = 0.5F + 0.25F * static_cast<float>(i % 4);
  }
  label_some_tokens(pairs, 7);
  return pairs;
}

ReferenceStore made_up_reference(const PreferenceDataset& dataset) {
  std::vector<ReferenceRow> rows;
  for (std::uint64_t pair = 0; pair < dataset.size(); ++pair) {
    const PairLengths lengths = dataset.lengths(pair);
    const auto value = [&](std::int64_t num_tokens) {
      return -3.0 * static_cast<double>(num_tokens) - 0.1 * static_cast<double>(pair);
    };
    rows.push_back({.pair_id = dataset.pair_id(pair),
                    .chosen_logps = value(lengths.num_labelled_chosen_tokens),
                    .rejected_logps = value(lengths.num_labelled_rejected_tokens),
                    .num_chosen_tokens = static_cast<std::uint32_t>(lengths.num_labelled_chosen_tokens),
                    .num_rejected_tokens = static_cast<std::uint32_t>(lengths.num_labelled_rejected_tokens)});
  }
  return {{}, std::move(rows), {.microbatch_tokens = 4096}};
}

ObjectiveConfig mixed_objective() {
  ObjectiveConfig config;
  config.loss_type = {LossType::kSigmoid, LossType::kSft};
  config.loss_weights = {1.0, 0.3};
  return config;
}

// Matrices that keep the size of what they are applied to: larger ones would magnify the last bit of a sum from layer
// to layer, and with it every difference in the order of summation.
ParameterLoader even_weights() {
  const WholeTensors load = random_tensors(41);
  return parts_of([load](const LogicalTensor& tensor) {
    const at::Tensor values = load(tensor);
    return tensor.shape.size() == 2 ? values / (0.4 * std::sqrt(static_cast<double>(tensor.shape[1]))) : values;
  });
}

std::vector<StreamSize> sizes_of(const std::vector<MicroBatch>& microbatches) {
  std::vector<StreamSize> sizes;
  for (const MicroBatch& microbatch : microbatches) sizes.push_back(stream_size(microbatch));
  return sizes;
}

void add_expected_traffic(const ModelShard& shard, const ProcessMesh& mesh, const std::vector<StreamSize>& sizes,
                          const Layout& layout, LayoutResult& result) {
  const TrafficInputs inputs{.spec = shard.spec(),
                             .layout = shard.layout().pipeline,
                             .shape = mesh.shape(),
                             .place = mesh.coordinate(),
                             .sequence_parallel = shard.layout().axis.sequence_parallel,
                             .recompute = layout.recompute,
                             .element_bytes = static_cast<std::int64_t>(c10::elementSize(shard.options().dtype)),
                             .bucket_elements = layout.bucket_elements,
                             .zero_stage = layout.zero_stage};
  for (const auto& [group, bytes] : step_traffic(inputs, sizes)) result.expected_traffic[group] += bytes;
}

void add_expected_memory(const ModelShard& shard, const ProcessMesh& mesh, const std::vector<StreamSize>& sizes,
                         const Layout& layout, LayoutResult& result) {
  const ParallelConfig parallel = layout.parallel();
  const MemoryInputs inputs{.spec = shard.spec(),
                            .layout = shard.layout().pipeline,
                            .parallel = parallel,
                            .shape = mesh.shape(),
                            .place = mesh.coordinate(),
                            .recompute = layout.recompute,
                            .element_bytes = static_cast<std::int64_t>(c10::elementSize(shard.options().dtype)),
                            .bucket_elements = layout.bucket_elements};
  const MemoryUse use = step_memory(inputs, sizes);
  if (use.total() > result.expected_memory.total()) result.expected_memory = use;
}

// Bytes that every group has sent so far, times `factor`; metrics and faults aside.
void add_counted_traffic(const ProcessMesh& mesh, int factor, LayoutResult& result) {
  mesh.for_each_group([&](const Communicator& group) {
    if (group.name() != "world") result.counted_traffic[group.name()] += factor * group.counts().sent_bytes();
  });
}

// What the result itself holds.
std::int64_t bytes_of(const LayoutResult& result) {
  std::int64_t bytes = 0;
  const auto add = [&](const std::vector<NamedTensor>& tensors) {
    for (const NamedTensor& tensor : tensors) bytes += static_cast<std::int64_t>(tensor.value.nbytes());
  };
  for (const TensorGroup& group : result.state) add(group.tensors);
  if (result.state.size() < 2 || result.gradients.front().value.is_alias_of(result.state[1].tensors.front().value)) {
    return bytes;
  }
  add(result.gradients);
  return bytes;
}

// Pairs of a step: all of them in turns.
std::vector<std::uint64_t> batch_of_step(int step, int size) {
  std::vector<std::uint64_t> pairs;
  for (int i = 0; i < size; ++i) pairs.push_back(static_cast<std::uint64_t>(step * size + i) % kNumPairs);
  return pairs;
}

}  // namespace

LayoutData make_layout_data(const std::string& folder, int most_tokens) {
  const std::string path = folder + "/pairs.h5";
  write_preference_file(path, uneven_pairs(most_tokens));
  const DataSource source{.path = path};
  PreferenceDataset dataset("data.train", std::span(&source, 1), 0.0);
  ReferenceStore reference = made_up_reference(dataset);
  return {.dataset = std::move(dataset), .reference = std::move(reference)};
}

LayoutResult train_layout(const Layout& layout, const LayoutData& data, ProcessMesh& mesh, const Prepare& prepare,
                          TraceRecorder* trace) {
  const ModelSpec spec = layout.spec();
  MemoryMeter meter(mesh.device());
  OptimizerConfig optimizer;
  optimizer.weight_decay = 0.1;
  StageOptions options = stage_options(layout.dtype, ShardUse::kTraining, mesh);
  options.recompute = layout.recompute;
  Policy policy(ModelShard(spec, shard_layout(layout.parallel(), spec, mesh), even_weights(), options), optimizer,
                {.zero_stage = layout.zero_stage, .bucket_elements = layout.bucket_elements}, mesh);
  if (prepare) prepare(policy.shard());
  ModelPass pass(policy.shard(), mesh, layout.parallel());
  pass.set_trace(trace);
  mesh.for_each_group([&](Communicator& group) { group.set_trace(trace); });
  const BatchConfig batch{.microbatch_tokens = layout.microbatch_tokens, .prefix_sharing = layout.prefix_sharing};
  const BatchSource source(data.dataset, packing_options(batch, mesh.shape(), spec, Responses::kBoth),
                           mesh.coordinate().dp_rank);
  const Objective objective(mixed_objective());
  TrainStep train_step({.policy = policy,
                        .pass = pass,
                        .source = source,
                        .objective = objective,
                        .reference = &data.reference,
                        .world = mesh.world()});
  LayoutResult result;
  for (int step = 0; step < layout.num_steps; ++step) {
    const StepOrder order{.step = step,
                          .pair_indices = batch_of_step(step, layout.global_batch_size),
                          .learning_rate = 1e-3,
                          .max_grad_norm = 1.0};
    add_counted_traffic(mesh, -1, result);
    meter.restart_peak();
    const StepOutcome outcome = train_step.run(order);
    result.peak_bytes = std::max(result.peak_bytes, meter.peak_bytes() - bytes_of(result));
    add_counted_traffic(mesh, 1, result);
    result.losses.push_back(outcome.metrics.front());
    result.grad_norms.push_back(outcome.grad_norm);
    const std::vector<StreamSize> sizes = sizes_of(source.read_all(source.plan(order.pair_indices)));
    add_expected_traffic(policy.shard(), mesh, sizes, layout, result);
    add_expected_memory(policy.shard(), mesh, sizes, layout, result);
    result.held_bytes = policy.held_bytes();
    std::vector<TensorGroup> state = gather_state(policy, mesh.world());
    if (step == 0 && !state.empty()) result.gradients = state.at(1).tensors;
    result.state = std::move(state);
  }
  return result;
}

LayoutResult train_plainly(Layout layout, const LayoutData& data) {
  layout.data = layout.pipeline = layout.tensor = layout.virtual_stages = 1;
  layout.schedule = ScheduleType::k1f1b;
  layout.microbatch_tokens = 1;
  layout.prefix_sharing = false;
  layout.recompute = Recompute::kNone;
  SoloFactory solo;
  ProcessMesh mesh(solo, solo, {});
  return train_layout(layout, data, mesh);
}

}  // namespace collimate::test
