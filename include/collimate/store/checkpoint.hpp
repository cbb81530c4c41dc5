#pragma once
// One checkpoint: a folder of safetensors files and manifest.json, which says what is in them, with checksums of every
// file and of itself. CheckpointStore keeps several.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "collimate/io/safetensors.hpp"

namespace collimate {

struct NamedTensor {
  std::string name;
  at::Tensor value;
};

/// Tensors of one kind by logical name: "model", "exp_avg", "exp_avg_sq". Saved as <name>.safetensors.
struct TensorGroup {
  std::string name;
  std::vector<NamedTensor> tensors;
};

/// Everything but the tensors that a run needs to go on.
struct CheckpointState {
  std::int64_t step = 0;                            ///< Optimizer steps done.
  nlohmann::json trainer_state;                     ///< The trainer's own: epoch, pairs seen, and so on.
  std::map<std::string, std::string> fingerprints;  ///< Identity of data, reference store and model.
  std::string configuration;                        ///< The run's canonical configuration text.
};

/// A checkpoint on disk, opened and verified.
class Checkpoint {
 public:
  /// Maps the files and checks the manifest and every file against their checksums: reads every byte once. *Local.*
  /// Throws InputError naming the file and what is wrong.
  static Checkpoint open(const std::string& path);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const CheckpointState& state() const noexcept { return state_; }
  [[nodiscard]] std::vector<std::string> group_names() const;
  /// In the order in which they were saved. Throws InputError when there is no such group.
  [[nodiscard]] const std::vector<TensorView>& tensors(const std::string& group) const;
  /// A tensor of its own, on the CPU, in the dtype it was saved in. Throws InputError when there is none of that name.
  [[nodiscard]] at::Tensor load(const std::string& group, const std::string& name) const;

 private:
  Checkpoint() = default;

  std::string path_;
  CheckpointState state_;
  std::map<std::string, SafetensorsFile> groups_;
};

/// Writes a checkpoint into the existing, empty folder `path`: files, then the manifest. Neither durable nor atomic by
/// itself: CheckpointStore stages the folder. Tensors on any device, of any dtype that safetensors has. Throws Error.
void write_checkpoint(const std::string& path, const CheckpointState& state, std::span<const TensorGroup> groups);

}  // namespace collimate
