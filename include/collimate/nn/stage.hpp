#pragma once
// Stage: the decoder layers of this rank and their parameters, made from a ModelSpec. It knows streams, not batches:
// one packed run of tokens goes in, hidden states come out; log-probs are the head's work (nn/logprob_head.hpp).

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/ScalarType.h>

#include "collimate/data/microbatch.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/nn/parameter.hpp"

namespace collimate {

/// Gives the whole tensor of a name, in its logical shape; any dtype. It is converted, and copied only if that needs
/// it.
using ParameterLoader = std::function<at::Tensor(const LogicalTensor&)>;

struct StageOptions {
  at::ScalarType dtype = at::kFloat;  ///< Of parameters and computation: kFloat or kDouble.
  bool trainable = true;              ///< false: parameters take no gradient and forward keeps nothing for a backward.
};

class Stage {
 public:
  /// Loads every parameter of `spec`. Throws InvariantError if the loader gives another shape. *Local.*
  Stage(ModelSpec spec, const ParameterLoader& loader, const StageOptions& options = {});
  ~Stage();
  Stage(Stage&&) noexcept;
  Stage& operator=(Stage&&) noexcept;

  [[nodiscard]] const ModelSpec& spec() const;
  /// In the order of logical_tensors(spec()). The tensors are shared with the stage: an optimizer updates them in
  /// place.
  [[nodiscard]] std::span<const Parameter> parameters() const;
  /// Weight of the head, [vocab_size, hidden_size]: the embedding's own tensor when the two are tied.
  [[nodiscard]] const at::Tensor& head_weight() const;

  /// Hidden states after the final norm, [num_tokens, hidden_size], with autograd history if the stage is trainable. An
  /// empty stream gives [0, hidden_size]. Throws InvariantError if a token is outside the vocabulary. *Local.*
  [[nodiscard]] at::Tensor forward(const MicroBatch& microbatch) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
