#pragma once
// The tape of one decoder layer: see stage_memory.hpp.

#include <cstdint>
#include <initializer_list>

#include "collimate/nn/stage_memory.hpp"

namespace collimate::detail {

/// Bytes of the tensors of a layer and a stream, on one rank of the tensor axis.
struct LayerBytes {
  LayerBytes(const ModelSpec& spec, const TensorShard& shard, std::int64_t element_bytes, const StreamSize& stream,
             DeviceType device);

  std::int64_t element;  ///< of an element
  std::int64_t wide;     ///< of an element of a sum
  bool is_gpu;
  int tp_size;
  bool divides_rows;
  bool has_qk_norm;
  bool has_attention_bias, has_mlp_bias;                ///< behind their sums over the tensor axis
  std::int64_t num_rows;                                ///< of the stream, padding included
  std::int64_t hidden_size, q_size, kv_size, ffn_size;  ///< elements a row
  std::int64_t residual;                                ///< [residual rows, hidden]
  std::int64_t whole;                                   ///< [rows, hidden]
  std::int64_t q, kv, ffn;                              ///< [rows, *_size]; kv: of k or v
  std::int64_t log_sum_exp;                             ///< of attention
  std::int64_t inverse_rms;                             ///< of a norm over the residual stream
  std::int64_t norm_partial;                            ///< gradient of its weight, by blocks of rows
  std::int64_t attention_forward, attention_backward;   ///< of one call
  std::int64_t exchanged;                               ///< of a sum over the tensor axis

 private:
  void plan_whole_stream_attention(const StreamSize& stream);
};

/// What of a backward pass is played.
enum class GradientParts { kAll, kInputs, kWeights };

/// Plays one layer. Before a forward pass the layer's input is held, after it the output, too; before a backward pass
/// the gradient of the output, after it that of the input.
class LayerPlay {
 public:
  LayerPlay(const LayerBytes& bytes, Recompute recompute, MemoryTape& tape, const OnGradient& on_gradient)
      : bytes_(bytes), recompute_(recompute), tape_(tape), on_gradient_(on_gradient) {}

  /// `has_delta`: a contribution is pending before the layer: not so before the first of a stage.
  void forward(bool has_delta);
  void backward(bool has_delta, GradientParts parts);

  /// The layer in a pass that no backward pass follows. `owns_input`: the stream before it goes with it.
  void forward_only(bool has_delta, bool owns_input);
  void norm_forward_only(bool has_delta);

  /// A norm, also the one behind the layers. `has_past`: a gradient reaches its sum past it.
  void norm_forward(bool has_delta);
  void norm_backward(bool has_delta, bool has_past);

 private:
  /// Linear layers of one input.
  struct Linears {
    std::initializer_list<std::int64_t> out_sizes;
    std::int64_t in_size = 0;
    std::int64_t x = 0;        ///< the input, unless somebody else lets go of it
    bool is_recalled = false;  ///< computed again
    std::int64_t grads = 0;    ///< of the outputs, likewise
    std::int64_t grad_x = 0;
  };

  void kept_forward(bool has_delta);
  void kept_backward(bool has_delta, GradientParts parts);
  void attend_forward();
  void transform_forward();
  void attend_backward(GradientParts parts);
  void transform_backward(GradientParts parts);
  void products(const Linears& linears, GradientParts parts);
  void take_gradient(std::int64_t elements, std::int64_t turned);
  void leave_forward(bool has_bias);
  void enter_backward();
  /// Rows of a gradient that go through a product behind the tensor axis; 0: the residual stream's own are taken.
  [[nodiscard]] std::int64_t gathered() const { return bytes_.divides_rows ? bytes_.whole : 0; }

  [[nodiscard]] bool recalls() const { return recompute_ == Recompute::kSelective; }
  void hold(std::int64_t bytes) { tape_.hold(MemoryKind::kActivations, bytes); }
  void release(std::int64_t bytes) { tape_.release(MemoryKind::kActivations, bytes); }
  void use(std::int64_t bytes) { tape_.use(MemoryKind::kActivations, bytes); }

  const LayerBytes& bytes_;
  Recompute recompute_;
  MemoryTape& tape_;
  const OnGradient& on_gradient_;
};

}  // namespace collimate::detail
