#pragma once
// The model that scores, wherever its weights are.

#include <optional>

#include "collimate/engine/reference_job.hpp"
#include "collimate/nn/model_shard.hpp"
#include "collimate/nn/offloaded_parameters.hpp"

namespace collimate::detail {

/// This rank's part of a scoring job's model: the shard that the job has already, or else one of its own, on the device
/// or offloaded.
class FrozenModel {
 public:
  /// *Collective* over the job. Throws AgreedError where weights cannot be loaded. Not owned: what the job refers to.
  explicit FrozenModel(const ReferenceJob& job);

  [[nodiscard]] const ModelShard& shard() const noexcept { return *shard_; }

 private:
  std::optional<ModelShard> own_;
  std::optional<OffloadedParameters> offloaded_;
  const ModelShard* shard_;
};

}  // namespace collimate::detail
