#include "layer_memory.hpp"

#include <algorithm>

#include "collimate/base/shard_range.hpp"
#include "collimate/comm/exchange.hpp"
#include "collimate/model/element_bytes.hpp"
#include "collimate/nn/attention_plan.hpp"
#include "norm_block_rows.hpp"

namespace collimate::detail {

namespace {

// Of one call with a sliding window: what is added to the scores, and three truth values a score on the way there.
std::int64_t mask_bytes(const ModelSpec& spec, std::int64_t longest_segment, std::int64_t element_bytes) {
  if (!spec.sliding_window || *spec.sliding_window >= longest_segment) return 0;
  const std::int64_t rows = std::min(longest_segment, max_block_rows(*spec.sliding_window));
  const std::int64_t keys = std::min(longest_segment, rows + *spec.sliding_window);
  return rows * keys * (element_bytes + 3);
}

}  // namespace

LayerBytes::LayerBytes(const ModelSpec& spec, const TensorShard& shard, std::int64_t element_bytes,
                       const StreamSize& stream, DeviceType device)
    : element(element_bytes),
      wide(sum_element_bytes(element_bytes)),
      is_gpu(device == DeviceType::kCuda),
      tp_size(shard.tp_size),
      divides_rows(shard.sequence_parallel && shard.tp_size > 1),
      has_qk_norm(spec.qk_norm),
      has_attention_bias(spec.attention_output_bias),
      has_mlp_bias(spec.mlp_bias),
      hidden_size(spec.hidden_size) {
  const std::int64_t own_heads = spec.num_heads / tp_size;
  const std::int64_t own_kv_heads = std::max<std::int64_t>(1, spec.num_kv_heads / tp_size);
  const std::int64_t own_rows = divides_rows ? divide_up(stream.num_stream_tokens, tp_size) : stream.num_stream_tokens;
  num_rows = divides_rows ? own_rows * tp_size : own_rows;
  q_size = own_heads * spec.head_dim;
  kv_size = own_kv_heads * spec.head_dim;
  ffn_size = shard_range(spec.intermediate_size, tp_size, shard.tp_rank).length;
  residual = own_rows * hidden_size * element;
  whole = num_rows * hidden_size * element;
  q = num_rows * q_size * element;
  kv = num_rows * kv_size * element;
  ffn = num_rows * ffn_size * element;
  log_sum_exp = num_rows * own_heads * wide;
  inverse_rms = own_rows * wide;
  norm_partial = (is_gpu ? kGpuNormBlocks : divide_up(own_rows, kNormBlockRows)) * hidden_size * wide;
  // A call's output, and twice that while two calls are merged; its gradients, and the sums behind those of k and v.
  const std::int64_t masks = mask_bytes(spec, stream.longest_segment, element);
  attention_forward = stream.longest_segment * q_size * (element + 2 * wide) + masks;
  attention_backward = stream.longest_segment * ((q_size + 2 * kv_size) * element + kv_size * wide) + masks;
  if (is_gpu && element < wide) plan_whole_stream_attention(stream);
  exchanged = exchange_bytes(num_rows * hidden_size, element, tp_size);
}

// FlashAttention over all rows at once: the gathered keys and values and their gradients, which come for every head
// first, and the sums behind the rows' gradients.
void LayerBytes::plan_whole_stream_attention(const StreamSize& stream) {
  const std::int64_t keys = stream.num_prefix_keys > 0 ? num_rows + stream.num_prefix_keys : 0;
  const std::int64_t gathered = 2 * keys * kv_size * element;
  const std::int64_t of_all_heads = q_size > kv_size ? 2 * (num_rows + stream.num_prefix_keys) * q_size * element : 0;
  attention_forward = gathered;
  attention_backward = 2 * gathered + of_all_heads + num_rows * q_size * wide + log_sum_exp;
}

void LayerPlay::forward(bool has_delta) {
  if (recompute_ != Recompute::kFull) return kept_forward(has_delta);
  // Nothing inside is kept, and at the widest place most of it is gone already.
  const LayerBytes& b = bytes_;
  use(b.residual + b.whole + std::max(2 * b.q + 2 * b.kv, 3 * b.ffn));
  hold(2 * b.residual);
}

void LayerPlay::forward_only(bool has_delta, bool owns_input) {
  const LayerBytes& b = bytes_;
  norm_forward_only(has_delta);
  hold(b.q + 2 * b.kv);
  release(b.whole);
  if (b.has_qk_norm) use(b.q);
  hold(b.q + b.log_sum_exp);
  use(b.attention_forward);
  leave_forward(b.has_attention_bias);
  release(2 * b.q + 2 * b.kv + b.log_sum_exp);
  norm_forward_only(true);
  if (!owns_input) hold(b.residual);
  hold(2 * b.ffn);
  release(b.whole);
  hold(b.ffn);
  leave_forward(b.has_mlp_bias);
  release(3 * b.ffn);
}

void LayerPlay::norm_forward_only(bool has_delta) {
  norm_forward(has_delta);
  release(bytes_.inverse_rms);
  if (has_delta) release(bytes_.residual);  // the stream before it
}

void LayerPlay::backward(bool has_delta, GradientParts parts) {
  if (recompute_ != Recompute::kFull) return kept_backward(has_delta, parts);
  if (parts == GradientParts::kWeights) return kept_backward(has_delta, parts);
  // Inputs and outputs are held until all is done.
  if (has_delta) hold(bytes_.residual);
  kept_forward(has_delta);
  kept_backward(has_delta, parts);
  release(bytes_.residual);
  if (has_delta) release(2 * bytes_.residual);
}

void LayerPlay::kept_forward(bool has_delta) {
  norm_forward(has_delta);
  attend_forward();
  norm_forward(true);
  transform_forward();
}

void LayerPlay::kept_backward(bool has_delta, GradientParts parts) {
  const LayerBytes& b = bytes_;
  transform_backward(parts);
  if (parts != GradientParts::kWeights) norm_backward(true, true);
  attend_backward(parts);
  if (parts != GradientParts::kWeights) norm_backward(has_delta, true);
  if (parts == GradientParts::kAll) return;
  // The queue has what the norms let go of: gradients that were a product's, and the streams it is recalled from.
  const std::int64_t gradients = bytes_.divides_rows ? 0 : 2 * b.residual;
  const std::int64_t streams = recalls() ? b.residual + (has_delta ? b.residual : 0) : 0;
  if (parts == GradientParts::kInputs) hold(gradients + streams);
  if (parts == GradientParts::kWeights) release(gradients + streams);
}

void LayerPlay::norm_forward(bool has_delta) {
  const LayerBytes& b = bytes_;
  if (has_delta) hold(b.residual);
  hold(b.residual + b.inverse_rms);
  if (has_delta) release(b.residual);  // the contribution, which is in the sum now
  if (!b.divides_rows) return;
  hold(b.whole);
  release(b.residual);
}

// The gradient past the norm and the one through it become one.
void LayerPlay::norm_backward(bool has_delta, bool has_past) {
  const LayerBytes& b = bytes_;
  hold(b.residual);
  use(b.norm_partial);
  release(b.residual + b.inverse_rms);
  if (has_past) release(b.residual);
  if (has_delta) release(b.residual);
}

void LayerPlay::attend_forward() {
  const LayerBytes& b = bytes_;
  hold(b.q + 2 * b.kv);
  if (recalls()) release(b.whole);
  if (b.has_qk_norm) hold(b.q + b.kv);
  hold(b.q + b.log_sum_exp);
  use(b.attention_forward);
  leave_forward(b.has_attention_bias);
}

void LayerPlay::transform_forward() {
  const LayerBytes& b = bytes_;
  hold(2 * b.ffn);
  if (recalls()) release(b.whole);
  hold(b.ffn);
  leave_forward(b.has_mlp_bias);
  if (recalls()) release(b.ffn);
}

// The partial sums of a product, then the sums, then those with the bias.
void LayerPlay::leave_forward(bool has_bias) {
  const LayerBytes& b = bytes_;
  hold(b.whole);
  if (b.tp_size > 1) {
    hold(b.residual);
    tape_.use(MemoryKind::kCommunication, b.exchanged);
    release(b.whole);
  }
  if (has_bias) use(b.residual);
}

void LayerPlay::enter_backward() {
  const LayerBytes& b = bytes_;
  if (b.tp_size == 1) return;
  hold(b.residual);
  tape_.use(MemoryKind::kCommunication, b.exchanged);
  release(b.whole);
}

void LayerPlay::products(const Linears& linears, GradientParts parts) {
  const LayerBytes& b = bytes_;
  const bool takes_weights = parts != GradientParts::kInputs;
  if (takes_weights && linears.is_recalled) hold(linears.x);
  bool is_first = true;
  for (const std::int64_t out_size : linears.out_sizes) {
    // The kernels want one operand turned; the smaller one is. float64 has none of that.
    const std::int64_t turned =
        b.element == 8 || b.is_gpu ? 0 : b.num_rows * std::min(out_size, linears.in_size) * b.element;
    if (takes_weights) take_gradient(out_size * linears.in_size, turned);
    if (parts == GradientParts::kWeights) continue;
    is_first ? hold(linears.grad_x) : use(linears.grad_x);
    is_first = false;
  }
  if (takes_weights) release(linears.x + linears.grads);
}

void LayerPlay::take_gradient(std::int64_t elements, std::int64_t turned) {
  // On a GPU a product adds to the sum of gradients itself.
  const std::int64_t own = bytes_.is_gpu ? 0 : elements * bytes_.element;
  use(own + turned);
  hold(own);
  if (on_gradient_) on_gradient_(elements);
  release(own);
}

void LayerPlay::transform_backward(GradientParts parts) {
  const LayerBytes& b = bytes_;
  if (parts != GradientParts::kWeights) hold(gathered());
  products({.out_sizes = {b.hidden_size},
            .in_size = b.ffn_size,
            .x = b.ffn,
            .is_recalled = recalls(),
            .grads = gathered(),
            .grad_x = b.ffn},
           parts);
  if (parts != GradientParts::kWeights) {
    hold(2 * b.ffn);
    release(b.ffn);
  }
  // Gate and up go, but for a product that is recalled from them.
  const bool wait = recalls() && parts == GradientParts::kInputs;
  const bool have_waited = recalls() && parts == GradientParts::kWeights;
  if ((parts != GradientParts::kWeights && !wait) || have_waited) release(2 * b.ffn);
  products({.out_sizes = {b.ffn_size, b.ffn_size},
            .in_size = b.hidden_size,
            .x = b.whole,
            .is_recalled = recalls(),
            .grads = 2 * b.ffn,
            .grad_x = b.whole},
           parts);
  if (parts != GradientParts::kWeights) enter_backward();
}

void LayerPlay::attend_backward(GradientParts parts) {
  const LayerBytes& b = bytes_;
  const bool has_inputs = parts != GradientParts::kWeights;
  // The product's input is attention's output, which attention has kept, too.
  if (has_inputs) hold(gathered());
  products({.out_sizes = {b.hidden_size},
            .in_size = b.q_size,
            .x = parts == GradientParts::kWeights ? b.q : 0,
            .is_recalled = false,
            .grads = gathered(),
            .grad_x = b.q},
           parts);
  if (has_inputs) {
    hold(b.q + 2 * b.kv);
    use(b.attention_backward);
    release(2 * b.q + 2 * b.kv + b.log_sum_exp + (parts == GradientParts::kAll ? b.q : 0));
    use(b.q);  // turned back
    if (b.has_qk_norm) release(b.q + b.kv);
  }
  products({.out_sizes = {b.q_size, b.kv_size, b.kv_size},
            .in_size = b.hidden_size,
            .x = b.whole,
            .is_recalled = recalls(),
            .grads = b.q + 2 * b.kv,
            .grad_x = b.whole},
           parts);
  if (has_inputs) enter_backward();
}

}  // namespace collimate::detail
