#include "collimate/engine/run_inputs.hpp"

#include <filesystem>

#include <fmt/format.h>

#include "collimate/base/activity_log.hpp"
#include "collimate/base/error.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/store/weights_fingerprint.hpp"

namespace collimate {

namespace {

constexpr std::size_t kShownPairs = 5;
// Between two notes of progress.
constexpr std::uint64_t kScannedPairs = 65536;

std::string shown_ids(const std::vector<Hash128>& ids) {
  std::string text;
  for (std::size_t i = 0; i < std::min(kShownPairs, ids.size()); ++i) text += (i == 0 ? "" : ", ") + ids[i].hex();
  return ids.size() > kShownPairs ? text + ", ..." : text;
}

void scan_share(const PreferenceDataset& dataset, std::int64_t vocab_size, int share, int num_shares,
                ActivityLog* activity) {
  const auto bound = [&](int index) {
    return dataset.size() * static_cast<std::uint64_t>(index) / static_cast<std::uint64_t>(num_shares);
  };
  const std::uint64_t end = bound(share + 1);
  for (std::uint64_t begin = bound(share); begin < end; begin += kScannedPairs) {
    note_work(activity, "reading the tokens of the pairs from {} on", begin);
    dataset.scan_tokens(begin, std::min(end, begin + kScannedPairs), vocab_size);
  }
}

// Whether the reference is what the policy starts from, as far as paths tell.
bool is_policy_folder(const ReferenceConfig& reference, const ModelConfig& policy) {
  if (!reference.path) return true;
  std::error_code not_there;
  return policy.path && std::filesystem::equivalent(*reference.path, *policy.path, not_there);
}

ModelFingerprints reference_fingerprints(const RunConfig& config, const std::optional<ModelFingerprints>& policy,
                                         Communicator& world) {
  if (policy && is_policy_folder(config.reference, config.model)) return *policy;
  const auto source = make_agreed(world, [&] { return open_model_source(reference_model(config)); });
  return model_fingerprints(*source, world);
}

ReferenceStore open_complete_store(const RunConfig& config, const ReferenceIdentity& needed, const RunData& data,
                                   const std::string& config_file) {
  const std::string& path = config.reference.store.value();
  if (!std::filesystem::exists(path)) {
    throw InputError(
        fmt::format("reference.store: {}: no such file; make it with: collimate reference {}", path, config_file));
  }
  ReferenceStore store = ReferenceStore::open(path);
  require_same_identity(store.identity(), needed, path);
  require_token_values(store.form(), config.reference.per_token, path);
  const std::vector<Hash128> missing = store.missing(all_pair_ids(data));
  if (!missing.empty()) {
    throw InputError(
        fmt::format("reference.store: {}: has no row for {} of the pairs ({}); score them with: collimate reference {}",
                    path, missing.size(), shown_ids(missing), config_file));
  }
  return store;
}

}  // namespace

RunData open_data(const RunConfig& config, const ModelSource& model) {
  const std::string folder = std::filesystem::path(model.config_path()).parent_path().string();
  const auto open = [&](const char* key, const std::vector<DataSource>& sources) {
    PreferenceDataset dataset(key, sources, config.data.min_confidence);
    dataset.require_tokenizer(folder, model.tokenizer_fingerprint(), model.chat_template_fingerprint());
    return dataset;
  };
  RunData data{.train = open("data.train", config.data.train), .eval = std::nullopt};
  if (!config.data.eval.empty()) {
    data.eval = open("data.eval", config.data.eval);
    require_same_tokenization(data.train.tokenization(), "data.train", data.eval->tokenization(), "data.eval");
  }
  return data;
}

void scan_data(const RunData& data, std::int64_t vocab_size, int share, int num_shares, ActivityLog* activity) {
  scan_share(data.train, vocab_size, share, num_shares, activity);
  if (data.eval) scan_share(*data.eval, vocab_size, share, num_shares, activity);
}

RunData open_scanned_data(const RunConfig& config, const ModelSource& model, Communicator& world) {
  note_work(world.activity(), "opening the data files");
  RunData data = make_agreed(world, [&] { return open_data(config, model); });
  run_agreed(world, [&] { scan_data(data, model.spec().vocab_size, world.rank(), world.size(), world.activity()); });
  return data;
}

ModelConfig reference_model(const RunConfig& config) {
  ModelConfig model = config.model;
  if (config.reference.path) {
    model.path = config.reference.path;
    model.config.reset();
    model.initialize = ModelInitialize::kNone;
  }
  model.dtype = config.reference.dtype.value_or(model.dtype);
  return model;
}

ModelFingerprints model_fingerprints(const ModelSource& model, Communicator& world) {
  return {.weights = weights_fingerprint(model, world), .config = model.config_fingerprint().hex()};
}

ReferenceIdentity reference_identity(const RunConfig& config, const ModelFingerprints& reference,
                                     const PreferenceDataset& dataset) {
  return {.weights_fingerprint = reference.weights,
          .model_config_fingerprint = reference.config,
          .tokenization = dataset.tokenization(),
          .dtype = reference_model(config).dtype};
}

std::vector<Hash128> all_pair_ids(const RunData& data) {
  std::vector<Hash128> ids;
  const auto append = [&](const PreferenceDataset& dataset) {
    for (std::uint64_t pair = 0; pair < dataset.size(); ++pair) ids.push_back(dataset.pair_id(pair));
  };
  append(data.train);
  if (data.eval) append(*data.eval);
  return ids;
}

std::optional<ReferenceIdentity> needed_reference(const RunConfig& config, const RunData& data,
                                                  const std::optional<ModelFingerprints>& policy, Communicator& world) {
  if (!loss_needs(config.objective).reference) return std::nullopt;
  return reference_identity(config, reference_fingerprints(config, policy, world), data.train);
}

ReferenceStore open_complete_reference(const RunConfig& config, const RunData& data, const ReferenceIdentity& needed,
                                       Communicator& world, const std::string& config_file) {
  return make_agreed(world, [&] { return open_complete_store(config, needed, data, config_file); });
}

}  // namespace collimate
