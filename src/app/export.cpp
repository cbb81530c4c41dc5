#include "collimate/store/export.hpp"

#include "checkpoint_choice.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/config/enum_names.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "collimate/store/load_pieces.hpp"
#include "collimate/store/model_source.hpp"
#include "session.hpp"

namespace collimate::app {

namespace {

ExportDtype dtype_named(const std::string& name) {
  for (const auto& entry : enum_names<ExportDtype>) {
    if (entry.name == name) return entry.value;
  }
  throw InputError("--dtype: " + name + " is none of source, float32, float16, bfloat16, float64");
}

void export_model(const RunConfig& config, const ExportOptions& options, const Log& log) {
  const auto model = open_model_source(config.model);
  tell_remarks(*model, log);
  const auto checkpoint = open_chosen_checkpoint(config, options.checkpoint);
  const auto weights = [&](const std::string& name) {
    return checkpoint ? load_tensor(*checkpoint, kModelGroup, name)
                      : model->load(name, wide_dtype(scalar_type(config.model.dtype)));
  };
  export_model_folder(*model, weights, {.folder = options.output, .dtype = dtype_named(options.dtype)});
}

}  // namespace

ExitCode run_export(const ExportOptions& options) {
  return run_session(options.config, [&](const Session& session) {
    Communicator& world = session.mesh.world();
    run_agreed(world, [&] {
      if (world.rank() == 0) export_model(session.config, options, session.log);
    });
    session.log.info("wrote {}", options.output);
    return ExitCode::kDone;
  });
}

}  // namespace collimate::app
