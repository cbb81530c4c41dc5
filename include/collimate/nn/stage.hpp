#pragma once
// Stage: consecutive decoder layers, the embedding before them if they are the first, the final norm and the head's
// weight behind them if they are the last. It knows streams, not batches: log-probs are the head's work
// (nn/logprob_head.hpp).

#include <functional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/model/config.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/model/stage_split.hpp"
#include "collimate/nn/decoder_layer.hpp"
#include "collimate/nn/logprob_head.hpp"
#include "collimate/nn/parameter_keeper.hpp"
#include "collimate/nn/tensor_axis.hpp"
#include "collimate/nn/weight_gradients.hpp"

namespace collimate {

struct StageOptions {
  at::ScalarType dtype = at::kFloat;  ///< Of parameters and activations: kFloat, kBFloat16 or kDouble.
  at::Device device = at::kCPU;       ///< Of parameters and computation.
  bool trainable = true;              ///< false: parameters take no gradient and forward keeps nothing for a backward.
  Recompute recompute = Recompute::kNone;
  bool resident = true;  ///< false: parameters have no values but those that their keeper brings while they are read.
};

/// One stage of the pipeline on one rank of the tensor axis. Holds its parameters together with the ModelShard that
/// made it.
class Stage {
 public:
  /// Gives this rank's part of a parameter; undefined if the model has none of that name.
  using Finder = std::function<at::Tensor(const std::string& name)>;

  /// `queue` takes weight gradients while it defers; not owned, like the axis's group.
  Stage(const ModelSpec& spec, const StagePart& part, const Finder& find, const TensorAxis& axis,
        WeightGradientQueue* queue, const StageOptions& options);

  /// Waits for the values of parameters from now on; not owned, null: they are there.
  void set_keeper(ParameterKeeper* keeper) noexcept { keeper_ = keeper; }

  [[nodiscard]] const StagePart& part() const noexcept { return part_; }
  [[nodiscard]] const TensorAxis& axis() const noexcept { return axis_; }
  /// This rank's part of the head; only the last stage has one.
  [[nodiscard]] HeadShard head() const;

  /// *Collective* over the tensor axis. This rank's rows [residual rows, hidden_size] of the stream behind the stage's
  /// layers; behind the last stage, after the final norm. `input` is the output of the stage before, undefined for the
  /// first. With autograd history if the stage is trainable. Throws InvariantError if a token is
  /// outside the vocabulary.
  [[nodiscard]] at::Tensor forward(const MicroBatch& microbatch, const at::Tensor& input = {}) const;

 private:
  void wait_for(const std::vector<at::Tensor>& parameters) const;
  [[nodiscard]] at::Tensor embed(const MicroBatch& microbatch) const;
  [[nodiscard]] Residual run_layer(const DecoderLayer& layer, Residual input, const StreamContext& context) const;
  [[nodiscard]] at::Tensor indices(const std::vector<std::int64_t>& values) const;

  StagePart part_;
  TensorAxis axis_;
  WeightGradientQueue* queue_;
  ParameterKeeper* keeper_ = nullptr;
  StageOptions options_;
  ShardRange vocabulary_;  // of this rank
  std::int64_t vocab_size_;
  double epsilon_;
  std::vector<DecoderLayer> layers_;
  at::Tensor embedding_;
  at::Tensor final_norm_;
  at::Tensor head_;
  at::Tensor inverse_frequencies_;
};

}  // namespace collimate
