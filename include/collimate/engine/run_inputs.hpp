#pragma once
// What a run reads: model, data and reference store, opened and checked against one another before anything is written.

#include <memory>
#include <optional>
#include <string>

#include "collimate/base/activity_log.hpp"
#include "collimate/comm/communicator.hpp"
#include "collimate/data/preference_dataset.hpp"
#include "collimate/job/config.hpp"
#include "collimate/store/model_source.hpp"
#include "collimate/store/reference_store.hpp"

namespace collimate {

/// The preference files of a run.
struct RunData {
  PreferenceDataset train;
  std::optional<PreferenceDataset> eval;
};

/// *Local.* Opens data.train and data.eval and checks that they were tokenized alike and for this model. Throws
/// InputError.
RunData open_data(const RunConfig& config, const ModelSource& model);

/// *Local.* Reads this share of all tokens and checks them against the vocabulary: number `share` of `num_shares`.
/// `activity` (or null) is told of it. Throws InputError.
void scan_data(const RunData& data, std::int64_t vocab_size, int share, int num_shares,
               ActivityLog* activity = nullptr);

/// *Collective.* Both of the above, each rank reading its share of the tokens. Throws AgreedError.
RunData open_scanned_data(const RunConfig& config, const ModelSource& model, Communicator& world);

/// The frozen model's part of the configuration: reference.path and dtype, or else the policy's own.
ModelConfig reference_model(const RunConfig& config);

/// Hashes of a model's weights and config, as the reference store and run.json keep them.
struct ModelFingerprints {
  std::string weights;
  std::string config;

  bool operator==(const ModelFingerprints&) const = default;
};

/// *Collective.* The weights are read by all ranks together, or not at all where the folder's cache knows them
/// (store/weights_fingerprint.hpp). Throws AgreedError.
ModelFingerprints model_fingerprints(const ModelSource& model, Communicator& world);

/// What the rows of this run's reference store depend on.
ReferenceIdentity reference_identity(const RunConfig& config, const ModelFingerprints& reference,
                                     const PreferenceDataset& dataset);

/// *Local.* Ids of all pairs of a run, training before evaluation; an id may repeat.
std::vector<Hash128> all_pair_ids(const RunData& data);

/// *Collective.* What the rows of a store must depend on for this run; nullopt when no configured loss needs one.
/// `policy` saves reading the weights a second time where the reference is the policy's own folder.
std::optional<ReferenceIdentity> needed_reference(const RunConfig& config, const RunData& data,
                                                  const std::optional<ModelFingerprints>& policy, Communicator& world);

/// *Collective.* Opens the store for training or evaluation. Throws AgreedError when it is of other weights, tokenizer
/// or truncation, or lacks a pair (then it names the command that scores it, with `config_file`).
ReferenceStore open_complete_reference(const RunConfig& config, const RunData& data, const ReferenceIdentity& needed,
                                       Communicator& world, const std::string& config_file);

}  // namespace collimate
