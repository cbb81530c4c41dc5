#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "checkpoint_choice.hpp"
#include "collimate/base/activity_log.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/evaluator.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "session.hpp"

namespace collimate::app {

namespace {

void print_report(const EvaluationReport& report, std::int64_t step) {
  nlohmann::ordered_json json{{"step", step}};
  for (const NamedMetrics* metrics : {&report.metrics, &report.timing}) {
    for (const auto& [name, value] : *metrics) json[name] = value;
  }
  print_answer("{}\n", json.dump());
}

}  // namespace

ExitCode run_evaluate(const EvaluateOptions& options) {
  return run_session(options.config, [&](const Session& session) {
    const RunConfig& config = session.config;
    Communicator& world = session.mesh.world();
    note_work(world.activity(), "opening the model");
    const auto model = make_agreed(world, [&] {
      if (config.data.eval.empty()) throw InputError("data.eval is empty; evaluate needs an evaluation set");
      return open_divided_model(config.model, config.parallel);
    });
    tell_remarks(*model, session.log);
    const RunData data = open_scanned_data(config, *model, world);
    const auto needed = needed_reference(config, data, std::nullopt, world);
    std::optional<ReferenceStore> reference;
    if (needed) reference = open_complete_reference(config, data, *needed, world, options.config.file);
    note_work(world.activity(), "opening the checkpoint");
    const auto checkpoint = make_agreed(world, [&] { return open_chosen_checkpoint(config, options.checkpoint); });
    const Objective objective(config.objective);
    const PackingOptions packing =
        packing_options(config.batch, session.mesh.shape(), model->spec(), needed_responses(objective.needs()));
    const BatchSource source(*data.eval, packing, session.mesh.coordinate().dp_rank);
    require_forward_fits(config, {.dtype = config.model.dtype}, model->spec(),
                         evaluation_streams(source, config.batch.eval_batch_size), session.mesh);
    const ModelShard shard = make_agreed(world, [&] {
      const ShardLayout layout = shard_layout(config.parallel, model->spec(), session.mesh);
      const StageOptions stage = stage_options(config.model.dtype, ShardUse::kForwardOnly, session.mesh);
      return checkpoint ? build_unset_shard(model->spec(), layout, stage) : build_shard(*model, layout, stage);
    });
    if (checkpoint) load_weights(shard, *checkpoint, world);
    ModelPass pass(shard, session.mesh, config.parallel);
    const Evaluator evaluator(source, objective, reference ? &*reference : nullptr, world,
                              config.batch.eval_batch_size);
    const EvaluationReport report = evaluator.evaluate(pass);
    if (world.rank() == 0) print_report(report, checkpoint ? checkpoint->state().step : 0);
    return ExitCode::kDone;
  });
}

}  // namespace collimate::app
