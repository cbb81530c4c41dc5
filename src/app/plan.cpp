#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/log.hpp"
#include "collimate/config/load.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "collimate/io/atomic_file.hpp"
#include "collimate/job/run_config.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/pipeline/generate.hpp"
#include "collimate/pipeline/lower.hpp"
#include "collimate/pipeline/render.hpp"
#include "collimate/pipeline/simulate.hpp"
#include "collimate/pipeline/validate.hpp"
#include "collimate/plan/pipeline_layout.hpp"
#include "memory_table.hpp"
#include "verbs.hpp"

namespace collimate::app {

namespace {

// Full microbatches, as many as were asked for.
PackStep full_step(int num_microbatches) {
  return [num_microbatches](const RunConfig& config, const MeshShape& /*shape*/) {
    const std::int64_t tokens = config.batch.microbatch_tokens;
    const StreamSize full{.num_stream_tokens = tokens, .num_labelled_rows = tokens, .longest_segment = tokens};
    return std::vector<StreamSize>(static_cast<std::size_t>(num_microbatches), full);
  };
}

// A third of a training step's cost is its forward pass; input and weight gradients share the rest.
StageCosts stage_costs(const ModelSpec& spec, const PipelineLayout& layout) {
  const SplitCosts costs = split_costs(spec);
  StageCosts result;
  for (const StagePart& stage : layout.stages) {
    const double cost = stage_cost(costs, stage);
    for (std::vector<double>* part : {&result.forward, &result.input_gradient, &result.weight_gradient}) {
      part->push_back(cost / 3);
    }
  }
  const double unit = *std::ranges::max_element(result.forward);
  for (std::vector<double>* part : {&result.forward, &result.input_gradient, &result.weight_gradient}) {
    for (double& cost : *part) cost /= unit;
  }
  return result;
}

void print_layout(const RunConfig& config, const MeshShape& shape, const PipelineLayout& layout) {
  print_answer(
      "ranks: {} = data {} x pipeline {} x tensor {}{}\n", shape.num_ranks(), shape.data, shape.pipeline, shape.tensor,
      shape.tensor > 1 && config.parallel.sequence_parallel ? ", rows of norms and residuals divided too" : "");
  for (const StagePart& stage : layout.stages) {
    const std::int64_t first = stage.layers.begin;
    print_answer("stage {} on pipeline rank {}: {}layers {} to {}{}\n", stage.stage_index,
                 layout.rank_of_stage[static_cast<std::size_t>(stage.stage_index)],
                 stage.is_first() ? "embedding, " : "", first, first + stage.layers.length - 1,
                 stage.is_last() ? ", final norm, head" : "");
  }
}

void print_schedule(const std::string& name, const Schedule& schedule, const Timeline& timeline) {
  print_answer("schedule: {}, {} microbatches, bubble {:.1f} % by estimated costs\n", name, schedule.num_microbatches,
               100 * timeline.bubble);
  print_answer("most microbatches kept for the backward pass, by pipeline rank: {}\n",
               fmt::join(timeline.peak_live_activations, ", "));
}

}  // namespace

ExitCode run_plan(const PlanOptions& options) {
  const std::string& file = options.config.file;
  const RunConfig config = load_run_config(read_config_file(file), file, options.config.overrides);
  const ParallelConfig& parallel = config.parallel;
  const MeshShape shape = mesh_shape(parallel, options.num_ranks.value_or(default_num_ranks(parallel)));
  const auto model = open_model_source(config.model);
  tell_remarks(*model, Log());
  const PipelineLayout layout = pipeline_layout(parallel, model->spec());
  std::optional<RunData> data;
  if (!options.num_microbatches) data = open_data(config, *model);
  const PackStep pack = data ? step_packer(model->spec(), data->train) : full_step(*options.num_microbatches);
  const ScheduleOptions schedule_options{.type = parallel.schedule,
                                         .num_ranks = parallel.pipeline,
                                         .virtual_stages = parallel.virtual_stages,
                                         .num_microbatches = static_cast<int>(pack(config, shape).size())};
  const Schedule schedule = add_messages(generate_schedule(schedule_options));
  validate_schedule(schedule, schedule_options);
  const Timeline timeline = simulate(schedule, stage_costs(model->spec(), layout));
  print_layout(config, shape, layout);
  const std::string name(enum_name(parallel.schedule));
  print_schedule(name, schedule, timeline);
  print_memory(config, model->spec(), shape, pack, "");  // refuses what does not fit, before anything is written
  if (options.schedule_svg) {
    write_file_atomically(*options.schedule_svg, render_svg(schedule, timeline, name));
    print_answer("wrote {}\n", *options.schedule_svg);
  }
  return ExitCode::kDone;
}

}  // namespace collimate::app
