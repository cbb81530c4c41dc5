#pragma once
// One checkpoint: a folder of safetensors files, one a rank, and manifest.json, which says what is in them, with
// checksums of all of it (docs/formats.md). CheckpointSaver writes one, CheckpointStore keeps several.

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "collimate/comm/communicator.hpp"
#include "collimate/io/safetensors.hpp"
#include "collimate/store/reshard_plan.hpp"

namespace collimate {

namespace detail {
struct Manifest;
}

/// What one rank saves of a logical tensor of a group: "model", "exp_avg", "exp_avg_sq".
struct SavedPiece {
  std::string group;
  std::string name;
  std::vector<std::int64_t> shape;  ///< of the whole tensor
  TensorPiece piece;
  at::Tensor value;  ///< its elements in row-major order, on any device, in any dtype that weights have
};

/// Everything but the tensors that a run needs to go on.
struct CheckpointState {
  std::int64_t step = 0;                            ///< Optimizer steps done.
  nlohmann::json trainer_state;                     ///< The trainer's own: epoch, pairs seen, and so on.
  std::map<std::string, std::string> fingerprints;  ///< Identity of data, reference store and model.
  std::string configuration;                        ///< The run's canonical configuration text.
  std::map<std::string, int> layout;                ///< Ranks along each axis when it was saved, for the reader.
};

/// A checkpoint on disk, of which the manifest has been read; load_pieces.hpp loads its tensors.
class Checkpoint {
 public:
  /// Checks the manifest against its checksum, and that the files are there with their sizes. *Local.* Throws
  /// InputError naming the file and what is wrong.
  static Checkpoint open(const std::string& path);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  [[nodiscard]] const std::string& path() const;
  [[nodiscard]] const CheckpointState& state() const;
  [[nodiscard]] std::vector<std::string> group_names() const;
  /// By name, with the shapes of whole tensors. Throws InputError when there is no such group.
  [[nodiscard]] std::vector<TensorInfo> tensors(const std::string& group) const;

  /// *Local.* Reads and verifies every block of the files, with all threads. Throws InputError naming file, bytes and
  /// tensors of the first damaged one.
  void verify() const;

  /// For the parts of src/store that read the files.
  [[nodiscard]] const detail::Manifest& manifest() const;

 private:
  struct Content;
  explicit Checkpoint(std::unique_ptr<Content> content);

  std::unique_ptr<Content> content_;
};

}  // namespace collimate
