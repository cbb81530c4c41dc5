#include <filesystem>

#include <fmt/format.h>

#include "collimate/base/log.hpp"
#include "collimate/config/load.hpp"
#include "collimate/data/sampler.hpp"
#include "collimate/engine/build_shard.hpp"
#include "collimate/engine/memory_check.hpp"
#include "collimate/engine/run_inputs.hpp"
#include "collimate/job/output_folder.hpp"
#include "collimate/job/run_config.hpp"
#include "collimate/job/warnings.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/cost.hpp"
#include "collimate/objective/loss.hpp"
#include "collimate/store/weights_fingerprint.hpp"
#include "collimate/train/trainer.hpp"
#include "memory_table.hpp"
#include "verbs.hpp"

namespace collimate::app {

namespace {

void print_data(const char* name, const PreferenceDataset& dataset) {
  print_answer("# {}: {} pairs ({} left out by min_confidence), {} tokens, {} of them labelled, longest sequence {}\n",
               name, dataset.size(), dataset.num_filtered_pairs(), dataset.num_tokens(), dataset.num_labelled_tokens(),
               dataset.longest_sequence());
}

void print_steps(const RunConfig& config, const PreferenceDataset& train) {
  const Sampler sampler(
      {.seed = config.train.seed, .shuffle = config.data.shuffle, .global_batch_size = config.batch.global_batch_size},
      train.source_sizes());
  print_answer("# steps: {}, of {} pairs each; {} pairs an epoch\n", num_optimizer_steps(config.train, sampler),
               config.batch.global_batch_size, sampler.num_pairs_per_epoch());
}

std::string store_state(const RunConfig& config, const ModelSource& reference, const RunData& data,
                        const std::string& config_file) {
  const std::string& path = *config.reference.store;
  const std::string command = fmt::format("collimate reference {}", config_file);
  if (!std::filesystem::exists(path)) return fmt::format("{} does not exist yet; make it with: {}", path, command);
  const ReferenceStore store = ReferenceStore::open(path);
  const ModelFingerprints fingerprints{.weights = weights_fingerprint(reference),
                                       .config = reference.config_fingerprint().hex()};
  require_same_identity(store.identity(), reference_identity(config, fingerprints, data.train), path);
  const std::size_t num_missing = store.missing(all_pair_ids(data)).size();
  if (num_missing == 0) return fmt::format("{} has every pair", path);
  return fmt::format("{} lacks {} pairs; score them with: {}", path, num_missing, command);
}

RunFacts facts_of(const RunConfig& config, const RunData& data) {
  RunFacts facts{.num_train_pairs = static_cast<std::int64_t>(data.train.size()),
                 .has_evaluation = data.eval.has_value(),
                 .uses_preference_loss = loss_needs(config.objective).rejected};
  for (const SourceSize& source : data.train.source_sizes()) {
    facts.num_pairs_per_epoch += static_cast<std::int64_t>(source.num_pairs_per_epoch());
  }
  if (data.eval) {
    facts.num_eval_pairs_in_training = static_cast<std::int64_t>(count_pairs_also_in(*data.eval, data.train));
  }
  return facts;
}

// What only model and data together can tell.
void warn_of_lengths(const RunConfig& config, const ModelSpec& spec, const PreferenceDataset& train, const Log& log) {
  if (train.longest_sequence() > spec.max_position_embeddings) {
    log.warn("data.train: the longest sequence has {} tokens, but the model was made for {} (max_position_embeddings)",
             train.longest_sequence(), spec.max_position_embeddings);
  }
  std::uint64_t num_over_budget = 0;
  const PairLayout layout{.prefix_sharing = config.batch.prefix_sharing};
  for (std::uint64_t pair = 0; pair < train.size(); ++pair) {
    if (num_stream_tokens(train.lengths(pair), layout) > config.batch.microbatch_tokens) ++num_over_budget;
  }
  if (num_over_budget > 0) {
    log.warn(
        "batch.microbatch_tokens: {}: {} pairs are longer and will be microbatches of their own, which sets the memory "
        "that a step needs",
        config.batch.microbatch_tokens, num_over_budget);
  }
}

}  // namespace

ExitCode run_check(const CheckOptions& options) {
  const Log log;
  const std::string& file = options.config.file;
  const RunConfig config = load_run_config(read_config_file(file), file, options.config.overrides);
  const MeshShape shape = mesh_shape(config.parallel, options.num_ranks.value_or(default_num_ranks(config.parallel)));
  const auto model = open_divided_model(config.model, config.parallel);
  tell_remarks(*model, log);
  const RunData data = open_data(config, *model);
  scan_data(data, model->spec().vocab_size, 0, 1);
  OutputFolder::inspect(config);
  const LossNeeds needs = loss_needs(config.objective);

  print_answer("{}", dump_canonical(config));
  print_answer("# model: {}, {} parameters\n", model->spec().architecture, num_parameters(model->spec()));
  print_data("data.train", data.train);
  if (data.eval) print_data("data.eval", *data.eval);
  print_steps(config, data.train);
  print_memory(config, model->spec(), shape, step_packer(model->spec(), data.train), "# ");
  if (needs.reference) {
    const auto reference = open_model_source(reference_model(config));
    if (config.reference.path) tell_remarks(*reference, log);
    print_answer("# reference store: {}\n", store_state(config, *reference, data, file));
  }
  for (const std::string& warning : find_warnings(config, facts_of(config, data))) log.warn("{}", warning);
  warn_of_lengths(config, model->spec(), data.train, log);
  return ExitCode::kDone;
}

}  // namespace collimate::app
