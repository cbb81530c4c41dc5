#include "collimate/nn/stage_memory.hpp"

#include <algorithm>

#include "collimate/nn/head_chunk.hpp"
#include "layer_memory.hpp"

namespace collimate {

using detail::GradientParts;
using detail::LayerBytes;
using detail::LayerPlay;

namespace {

constexpr std::int64_t kIndexBytes = 8;
constexpr std::int64_t kSumBytes = 8;  // log-probs are float64

}  // namespace

/// One stage, one stream, one tape.
class StageMemory::Play {
 public:
  Play(const StageMemory& stage, const StreamSize& stream, MemoryTape& tape, const OnGradient& on_gradient = {})
      : stage_(stage),
        stream_(stream),
        tape_(tape),
        on_gradient_(on_gradient),
        bytes_(stage.spec_, stage.shard_, stage.element_bytes_, stream, stage.device_),
        layer_(bytes_, stage.recompute_, tape, on_gradient_),
        vocabulary_(place_tensor(stage.spec_, head_tensor(stage.spec_), stage.shard_).range.length) {}

  void forward() {
    hold(rope());
    if (part().is_first()) embed();
    for (std::int64_t i = 0; i < part().layers.length; ++i) layer_.forward(i > 0);
    if (part().is_last()) {
      layer_.norm_forward(true);
      head_forward();
    } else {
      hold(bytes_.residual);     // the sum
      release(bytes_.residual);  // the last contribution
    }
    if (stage_.recompute_ == Recompute::kFull) release(bytes_.residual);  // the stream before it, which no layer keeps
  }

  void forward_only() {
    hold(rope());
    if (part().is_first()) embed();
    for (std::int64_t i = 0; i < part().layers.length; ++i) layer_.forward_only(i > 0, i > 0 || part().is_first());
    if (part().is_last()) {
      layer_.norm_forward_only(true);
      release(bytes_.residual);  // the sum, of which the norm is all that is needed
      head_forward();
      release_head(labelled());
      release(bytes_.whole);
    } else {
      hold(bytes_.residual);  // the sum
      release(bytes_.residual * 3);
    }
    if (part().is_first()) release(bytes_.num_rows * kIndexBytes);
    release(rope());
  }

  void backward(GradientParts parts) {
    if (parts == GradientParts::kWeights) return all_layers(parts);
    if (part().is_last()) {
      head_backward();
      layer_.norm_backward(true, false);
    } else {
      hold(bytes_.residual);  // the gradient of the output
    }
    all_layers(parts);
    release(rope());
    if (part().is_first()) embedding_backward();
    release(bytes_.residual);                             // the gradient of the input
    if (!part().is_last()) release(2 * bytes_.residual);  // the output and its gradient
  }

 private:
  [[nodiscard]] const StagePart& part() const { return stage_.part_; }
  [[nodiscard]] std::int64_t table_elements() const { return vocabulary_ * bytes_.hidden_size; }
  [[nodiscard]] std::int64_t rope() const { return bytes_.num_rows * stage_.spec_.head_dim * bytes_.wide; }
  [[nodiscard]] bool is_tied_here() const {
    return stage_.spec_.tie_word_embeddings && part().is_first() && part().is_last();
  }
  void hold(std::int64_t bytes) { tape_.hold(MemoryKind::kActivations, bytes); }
  void release(std::int64_t bytes) { tape_.release(MemoryKind::kActivations, bytes); }
  void hold_head(std::int64_t bytes) { tape_.hold(MemoryKind::kHead, bytes); }
  void release_head(std::int64_t bytes) { tape_.release(MemoryKind::kHead, bytes); }

  void all_layers(GradientParts parts) {
    for (std::int64_t i = part().layers.length; i-- > 0;) {
      layer_.backward(i > 0, parts);
      // A layer lets go of the gradient of its output, but the last one's is still its sender's.
      const bool is_sent = parts != GradientParts::kWeights && !part().is_last() && i + 1 == part().layers.length;
      if (is_sent) hold(bytes_.residual);
    }
  }

  void embed() {
    hold(bytes_.num_rows * kIndexBytes);
    if (bytes_.tp_size == 1) return hold(bytes_.residual);
    hold(bytes_.whole);
    tape_.use(MemoryKind::kActivations, bytes_.whole);  // without other ranks' tokens
    hold(bytes_.residual);
    tape_.use(MemoryKind::kCommunication, bytes_.exchanged);
    release(bytes_.whole);
  }

  // The rows' gradients in a wide dtype, then the table's in it and in its own.
  void embedding_backward() {
    if (bytes_.divides_rows) tape_.use(MemoryKind::kActivations, bytes_.whole);
    const std::int64_t wide_rows = bytes_.element == bytes_.wide ? 0 : bytes_.whole / bytes_.element * bytes_.wide;
    const std::int64_t own = bytes_.element == bytes_.wide ? 0 : table_elements() * bytes_.element;
    tape_.use(MemoryKind::kHead, wide_rows + table_elements() * bytes_.wide + own);
    if (is_tied_here()) release_head(table_elements() * bytes_.element);
    release(bytes_.num_rows * kIndexBytes + bytes_.residual);
  }

  [[nodiscard]] std::int64_t chunk_rows() const {
    const std::int64_t row_bytes = vocabulary_ * logit_bytes(stage_.device_, bytes_.element);
    return std::min(head_chunk_rows(row_bytes, head_chunk_bytes(stage_.device_)), stream_.num_labelled_rows);
  }
  // Indices, log-sum-exps and log-probs of labelled rows, kept for the backward pass.
  [[nodiscard]] std::int64_t labelled() const {
    return stream_.num_labelled_rows * (3 * kIndexBytes + bytes_.wide + kSumBytes);
  }
  // A chunk's hidden states and logits; on a CPU narrow ones are there in both dtypes for a moment.
  [[nodiscard]] std::int64_t chunk() const {
    const std::int64_t logits = chunk_rows() * vocabulary_;
    const std::int64_t hidden = chunk_rows() * bytes_.hidden_size * bytes_.element;
    const bool has_both = bytes_.element != bytes_.wide && !bytes_.is_gpu;
    return hidden + logits * logit_bytes(stage_.device_, bytes_.element) + (has_both ? logits * bytes_.element : 0);
  }

  void head_forward() {
    hold_head(labelled());
    tape_.use(MemoryKind::kHead, chunk() + stream_.num_labelled_rows * 3 * kSumBytes);
  }

  void head_backward() {
    const std::int64_t chunk_elements = chunk_rows() * bytes_.hidden_size;
    const std::int64_t gradient = table_elements() * bytes_.wide;
    const bool has_chunks = chunk_rows() < stream_.num_labelled_rows;
    const bool is_narrow = bytes_.element != bytes_.wide;
    const std::int64_t own = table_elements() * bytes_.element;
    hold_head(bytes_.whole / bytes_.element * bytes_.wide);  // of the hidden states
    // The sum over chunks, and the next one's; a narrow one is always computed in its own dtype first.
    // On a GPU products add to it.
    const std::int64_t product = is_narrow ? own : (has_chunks ? gradient : 0);
    const std::int64_t sums = gradient + (bytes_.is_gpu ? 0 : product);
    // While a narrow gradient of logits is rounded there are the logits and both gradients; then the rounded one alone.
    const bool is_rounded = is_narrow && !bytes_.is_gpu;
    const std::int64_t narrow_logits = is_rounded ? chunk_rows() * vocabulary_ * bytes_.element : 0;
    const std::int64_t wide_logits = is_rounded ? chunk_rows() * vocabulary_ * bytes_.wide : 0;
    const std::int64_t rounding = chunk() + narrow_logits + (has_chunks ? gradient : 0);
    const std::int64_t adding = chunk() - wide_logits + 2 * chunk_elements * bytes_.wide + sums;
    tape_.use(MemoryKind::kHead, std::max(rounding, adding));
    hold_head(gradient);
    // A wide gradient stays where it is and is one of activations now.
    if (is_narrow) hold(bytes_.whole);
    release_head(bytes_.whole / bytes_.element * bytes_.wide);
    if (!is_narrow) hold(bytes_.whole);
    // autograd turns the gradient, or rounds it, before it is taken; a tied one waits for the embedding's.
    hold_head(own);
    if (on_gradient_ && !is_tied_here()) on_gradient_(table_elements());
    release_head(own);
    release_head(gradient + labelled());
    if (is_tied_here()) hold_head(own);
    release(bytes_.whole);  // the hidden states
    if (bytes_.tp_size == 1) return;
    hold(bytes_.residual);
    release(bytes_.whole);
  }

  const StageMemory& stage_;
  const StreamSize& stream_;
  MemoryTape& tape_;
  OnGradient on_gradient_;
  LayerBytes bytes_;
  LayerPlay layer_;
  std::int64_t vocabulary_;  // rows of this rank's part of embedding and head
};

namespace {

void count_segment(StreamSize& size, const Segment& segment) {
  size.longest_segment = std::max(size.longest_segment, segment.length);
  size.num_prefix_keys += segment.prefix_length;
}

}  // namespace

StreamSize stream_size(const MicroBatch& microbatch) {
  StreamSize size{.num_stream_tokens = microbatch.num_stream_tokens(),
                  .num_labelled_rows = std::ssize(microbatch.rows)};
  for (const Segment& segment : microbatch.segments) count_segment(size, segment);
  return size;
}

StreamSize stream_size(std::span<const PairLengths> pairs, const PairLayout& layout) {
  StreamSize size;
  for (const PairLengths& pair : pairs) {
    for (const Segment& segment : segments_of_pair(pair, layout, size.num_stream_tokens)) {
      count_segment(size, segment);
    }
    size.num_stream_tokens += num_stream_tokens(pair, layout);
    size.num_labelled_rows += num_labelled_tokens(pair, layout);
  }
  return size;
}

StageMemory::StageMemory(const ModelSpec& spec, const StagePart& part, const TensorShard& shard, Recompute recompute,
                         std::int64_t element_bytes, DeviceType device)
    : spec_(spec), part_(part), shard_(shard), recompute_(recompute), element_bytes_(element_bytes), device_(device) {}

void StageMemory::forward_only(MemoryTape& tape, const StreamSize& stream) const {
  Play(*this, stream, tape).forward_only();
}

void StageMemory::forward(MemoryTape& tape, const StreamSize& stream) const { Play(*this, stream, tape).forward(); }

void StageMemory::backward(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient) const {
  Play(*this, stream, tape, on_gradient).backward(GradientParts::kAll);
}

void StageMemory::input_gradient(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient) const {
  Play(*this, stream, tape, on_gradient).backward(GradientParts::kInputs);
}

void StageMemory::weight_gradients(MemoryTape& tape, const StreamSize& stream, const OnGradient& on_gradient) const {
  Play(*this, stream, tape, on_gradient).backward(GradientParts::kWeights);
}

std::int64_t StageMemory::message_bytes(const StreamSize& stream) const {
  return LayerBytes(spec_, shard_, element_bytes_, stream, device_).residual;
}

}  // namespace collimate
