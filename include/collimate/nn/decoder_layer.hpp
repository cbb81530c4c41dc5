#pragma once
// One decoder layer: attention and MLP with their norms and residuals. What a model family switches on or off is in the
// parameters a layer holds, not in its code.

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/core/Tensor.h>

#include "collimate/model/spec.hpp"
#include "collimate/nn/attention.hpp"
#include "collimate/nn/linear.hpp"
#include "collimate/nn/rope.hpp"
#include "collimate/nn/tensor_axis.hpp"

namespace collimate {

/// The residual stream with the last block's contribution not yet added; the next norm adds it on its way.
struct Residual {
  at::Tensor stream;  ///< [num_tokens, hidden_size]
  at::Tensor delta;   ///< The same shape, or undefined.
};

/// Adds the pending contribution, which is let go of, and normalizes the sum: the new stream, and its norm.
std::pair<at::Tensor, at::Tensor> normalize(Residual&& residual, const at::Tensor& weight, double epsilon);

/// What all layers of one forward pass share. Not owned: the queue.
struct StreamContext {
  AttentionStream attention;
  RopeTable rope;  ///< of all rows of the stream, padding included
  TensorAxis axis;
  WeightGradientQueue* queue = nullptr;
  bool recomputes_inputs = false;  ///< of linear layers, where that takes no product
};

/// One rank's part of a layer: its heads and its neurons.
class DecoderLayer {
 public:
  /// Gives the parameter of a name inside the layer, such as "mlp.up_proj.weight"; undefined if the model has none.
  using Finder = std::function<at::Tensor(std::string_view suffix)>;

  DecoderLayer(const ModelSpec& spec, std::int64_t layer_index, const Finder& find);

  /// *Collective* over the tensor axis. Takes and gives this rank's rows of the residual stream.
  [[nodiscard]] Residual forward(Residual input, const StreamContext& context) const;

  /// All that the layer has.
  [[nodiscard]] const std::vector<at::Tensor>& parameters() const noexcept { return parameters_; }

 private:
  /// A norm as the input of linear layers: of all rows of the stream.
  struct Normed {
    at::Tensor stream;
    LinearInput input;
  };
  [[nodiscard]] Normed norm(Residual residual, const at::Tensor& weight, const StreamContext& context) const;
  [[nodiscard]] at::Tensor attend(LinearInput normed, const StreamContext& context) const;
  [[nodiscard]] at::Tensor transform(LinearInput normed, const StreamContext& context) const;

  std::int64_t head_dim_;
  double epsilon_;
  std::optional<std::int64_t> window_;
  at::Tensor attention_norm_;
  at::Tensor mlp_norm_;
  at::Tensor q_norm_;  // undefined without q/k norm
  at::Tensor k_norm_;
  std::vector<LinearWeight> qkv_;
  LinearWeight attention_output_;
  std::vector<LinearWeight> gate_up_;
  LinearWeight down_;
  std::vector<at::Tensor> parameters_;
};

}  // namespace collimate
