#include "collimate/job/cross_checks.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace collimate {

namespace {

using Keys = std::initializer_list<std::string_view>;

/// The first key is the one to name; the finding is left out when any of them is at fault already.
void add(Findings& findings, Keys keys, std::string message) {
  findings.add_about(std::span(keys.begin(), keys.size()), std::move(message));
}

void check_model_source(const RunConfig& config, Findings& findings) {
  const ModelConfig& model = config.model;
  const Keys keys = {"model.path", "model.config"};
  if (!model.path && !model.config) {
    add(findings, keys, "missing; expected a Hugging Face folder here, or a config.json at model.config");
  } else if (model.path && model.config) {
    add(findings, keys,
        fmt::format("expected either this or model.config, got both ({} and {})", *model.path, *model.config));
  }
}

void check_model_initialization(const RunConfig& config, Findings& findings) {
  const ModelConfig& model = config.model;
  const bool is_random = model.initialize == ModelInitialize::kRandom;
  const Keys keys = {"model.initialize", "model.path", "model.config"};
  if (model.config && !model.path && !is_random) {
    add(findings, keys, "expected random with model.config, which brings no weights, got none");
  } else if (model.path && !model.config && is_random) {
    add(findings, keys, "expected none with model.path, whose weights are loaded, got random");
  } else if (!is_random && model.init_seed != 0) {
    add(findings, {"model.init_seed", "model.initialize"},
        fmt::format("expected initialize: random with a seed, got initialize: none and {}", model.init_seed));
  }
}

void check_loss_types(const RunConfig& config, Findings& findings) {
  const auto& types = config.objective.loss_type;
  const Keys keys = {"objective.loss_type"};
  if (types.empty()) add(findings, keys, "expected at least one loss, got an empty list");
  for (auto type = types.begin(); type != types.end(); ++type) {
    if (std::find(types.begin(), type, *type) != type) {
      add(findings, keys, fmt::format("expected each loss once, got {} twice", enum_name(*type)));
      return;
    }
  }
}

void check_loss_weights(const RunConfig& config, Findings& findings) {
  const auto& [types, weights, beta, label_smoothing] = config.objective;
  if (types.size() == weights.size()) return;
  add(findings, {"objective.loss_weights", "objective.loss_type"},
      fmt::format("expected one weight for each loss_type ({}), got {}", types.size(), weights.size()));
}

void check_reference(const RunConfig& config, Findings& findings) {
  if (!loss_needs(config.objective).reference) return;
  if (!config.reference.store) {
    add(findings, {"reference.store", "objective.loss_type"},
        "missing; expected the path of the reference store, which loss_type: sigmoid needs");
  }
  if (config.model.config && !config.model.path && !config.reference.path) {
    add(findings, {"reference.path", "objective.loss_type", "model.path", "model.config"},
        "missing; expected a Hugging Face folder, since model.config brings no weights to refer to");
  }
}

/// A value that is asked for and cannot matter is a mistake, unless it is the default.
void check_parameters_of_losses(const RunConfig& config, Findings& findings) {
  if (loss_needs(config.objective).reference) return;
  const ObjectiveConfig defaults;
  const auto check = [&](std::string_view key, double value, double usual) {
    if (value == usual) return;
    add(findings, {key, "objective.loss_type"},
        fmt::format("has no effect without loss_type: sigmoid; expected it left out, got {}", value));
  };
  check("objective.beta", config.objective.beta, defaults.beta);
  check("objective.label_smoothing", config.objective.label_smoothing, defaults.label_smoothing);
}

void check_data(const RunConfig& config, Findings& findings) {
  if (config.data.train.empty()) {
    add(findings, {"data.train"}, "expected at least one preference file, got an empty list");
  }
  for (std::size_t index = 0; index < config.data.eval.size(); ++index) {
    const std::string key = fmt::format("data.eval.{}.repeat", index);
    const double repeat = config.data.eval[index].repeat;
    if (repeat != 1) add(findings, {key}, fmt::format("expected 1, evaluation counts each pair once, got {}", repeat));
  }
}

void check_early_stopping(const RunConfig& config, Findings& findings) {
  if (!config.train.early_stopping || !config.data.eval.empty()) return;
  add(findings, {"train.early_stopping", "data.eval"},
      "counts evaluations, of which there are none without data.eval; expected preference files there, or null here");
}

void check_betas(const RunConfig& config, Findings& findings) {
  const std::size_t count = config.optimizer.betas.size();
  if (count != 2) add(findings, {"optimizer.betas"}, fmt::format("expected two values, got {}", count));
}

void check_parameters_of_schedule(const RunConfig& config, Findings& findings) {
  const OptimizerConfig& optimizer = config.optimizer;
  const OptimizerConfig defaults;
  const auto name = enum_name(optimizer.lr_scheduler_type);
  const bool is_constant = optimizer.lr_scheduler_type == LrSchedulerType::kConstant;
  if (is_constant && optimizer.warmup_steps != defaults.warmup_steps && optimizer.warmup_steps != 0) {
    add(findings, {"optimizer.warmup_steps", "optimizer.lr_scheduler_type"},
        fmt::format("has no effect with lr_scheduler_type: {}; expected constant_with_warmup, or it left out, got {}",
                    name, optimizer.warmup_steps));
  }
  const bool has_floor = optimizer.lr_scheduler_type == LrSchedulerType::kCosineWithMinLr;
  if (!has_floor && optimizer.min_lr_rate != defaults.min_lr_rate) {
    add(findings, {"optimizer.min_lr_rate", "optimizer.lr_scheduler_type"},
        fmt::format("has no effect with lr_scheduler_type: {}; expected cosine_with_min_lr, or it left out, got {}",
                    name, optimizer.min_lr_rate));
  }
}

int num_stages_per_rank(const ParallelConfig& parallel) {
  return parallel.schedule == ScheduleType::kZbv ? 2 : parallel.virtual_stages;
}

void check_virtual_stages(const RunConfig& config, Findings& findings) {
  const ParallelConfig& parallel = config.parallel;
  const bool is_free = parallel.schedule == ScheduleType::kInterleaved;
  const int expected = parallel.schedule == ScheduleType::kZbv ? 2 : 1;
  if (is_free || parallel.virtual_stages == expected) return;
  add(findings, {"parallel.virtual_stages", "parallel.schedule"},
      fmt::format("expected {} with schedule: {} (interleaved takes any number), got {}", expected,
                  enum_name(parallel.schedule), parallel.virtual_stages));
}

void check_layers_per_stage(const RunConfig& config, Findings& findings) {
  const ParallelConfig& parallel = config.parallel;
  if (!parallel.layers_per_stage) return;
  const std::size_t expected =
      static_cast<std::size_t>(parallel.pipeline) * static_cast<std::size_t>(num_stages_per_rank(parallel));
  if (parallel.layers_per_stage->size() == expected) return;
  add(findings, {"parallel.layers_per_stage", "parallel.pipeline", "parallel.virtual_stages"},
      fmt::format("expected auto or one number for each of the {} stages (pipeline x virtual_stages), got {}", expected,
                  parallel.layers_per_stage->size()));
}

void check_backend(const RunConfig& config, Findings& findings) {
  const RuntimeConfig& runtime = config.runtime;
  if (fits(runtime.backend, runtime.device)) return;
  const bool is_on_gpu = runtime.device == DeviceType::kCuda;
  add(findings, {"runtime.backend", "runtime.device"},
      fmt::format("expected auto or {} with runtime.device: {}, got {}", is_on_gpu ? "nccl" : "mpi (or, slower, gloo)",
                  enum_name(runtime.device), enum_name(runtime.backend)));
}

using CrossCheck = void (*)(const RunConfig&, Findings&);

constexpr CrossCheck kCrossChecks[] = {
    check_model_source, check_model_initialization,   check_loss_types,     check_loss_weights,
    check_reference,    check_parameters_of_losses,   check_data,           check_early_stopping,
    check_betas,        check_parameters_of_schedule, check_virtual_stages, check_layers_per_stage,
    check_backend,
};

}  // namespace

void check_across_fields(const RunConfig& config, Findings& findings) {
  for (const CrossCheck check : kCrossChecks) check(config, findings);
}

}  // namespace collimate
