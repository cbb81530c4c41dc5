#include "collimate/nn/stage.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "collimate/base/error.hpp"
#include "collimate/model/logical_tensor.hpp"
#include "collimate/nn/rope.hpp"
#include "collimate/nn/wide_dtype.hpp"
#include "embedding.hpp"
#include "recompute.hpp"
#include "upload.hpp"

namespace collimate {

namespace {

void check_stream(const MicroBatch& microbatch, std::int64_t vocab_size) {
  check(microbatch.positions.size() == microbatch.tokens.size(), "every token of a microbatch has a position");
  check(std::ranges::all_of(microbatch.tokens, [&](auto token) { return token >= 0 && token < vocab_size; }),
        "every token of a microbatch is in the vocabulary");
}

// The values, and zeros for the rows that only fill up the stream.
std::vector<std::int64_t> padded(const std::vector<std::int64_t>& values, std::int64_t num_rows) {
  std::vector<std::int64_t> result = values;
  result.resize(static_cast<std::size_t>(num_rows), 0);
  return result;
}

}  // namespace

Stage::Stage(const ModelSpec& spec, const StagePart& part, const Finder& find, const TensorAxis& axis,
             WeightGradientQueue* queue, const StageOptions& options)
    : part_(part),
      axis_(axis),
      queue_(queue),
      options_(options),
      vocabulary_(place_tensor(spec, head_tensor(spec), axis.shard()).range),
      vocab_size_(spec.vocab_size),
      epsilon_(spec.rms_norm_eps),
      inverse_frequencies_(rope_inverse_frequencies(spec.rope, spec.head_dim).to(options.device)) {
  for (std::int64_t layer = part.layers.begin; layer < part.layers.begin + part.layers.length; ++layer) {
    layers_.emplace_back(spec, layer, [&](std::string_view suffix) { return find(layer_tensor_name(layer, suffix)); });
  }
  if (part.is_first()) embedding_ = find(kEmbeddingName);
  if (!part.is_last()) return;
  final_norm_ = find(kFinalNormName);
  head_ = find(head_tensor(spec).name);
}

HeadShard Stage::head() const {
  check(part_.is_last(), "the last stage has the head");
  return {.weight = head_, .vocab_begin = vocabulary_.begin, .vocab_size = vocab_size_, .axis = axis_};
}

at::Tensor Stage::indices(const std::vector<std::int64_t>& values) const {
  return detail::upload(values, options_.device);
}

at::Tensor Stage::embed(const MicroBatch& microbatch) const {
  check_stream(microbatch, vocab_size_);
  std::vector<std::int64_t> own = padded(microbatch.tokens, axis_.padded_rows(microbatch.num_stream_tokens()));
  std::vector<std::int64_t> elsewhere;
  for (std::size_t row = 0; row < own.size(); ++row) {
    own[row] -= vocabulary_.begin;
    if (own[row] >= 0 && own[row] < vocabulary_.length) continue;
    own[row] = 0;
    elsewhere.push_back(static_cast<std::int64_t>(row));
  }
  at::Tensor rows = look_up(embedding_, indices(own));
  // Tokens of other ranks give zeros here, and so no gradient.
  if (!elsewhere.empty()) rows = rows.index_fill(0, indices(elsewhere), 0.0);
  return leave_tensor_axis(rows, axis_);
}

void Stage::wait_for(const std::vector<at::Tensor>& parameters) const {
  if (keeper_ != nullptr) keeper_->wait_for_values(parameters);
}

Residual Stage::run_layer(const DecoderLayer& layer, Residual input, const StreamContext& context) const {
  if (options_.recompute != Recompute::kFull) return layer.forward(std::move(input), context);
  const ModelPart part = [&layer, context](const std::vector<at::Tensor>& inputs) {
    const Residual output =
        layer.forward({.stream = inputs[0], .delta = inputs.size() > 1 ? inputs[1] : at::Tensor()}, context);
    return std::vector<at::Tensor>{output.stream, output.delta};
  };
  // The sum of both would be half as much to keep, but its gradient would be rounded once more.
  const std::vector<at::Tensor> outputs =
      input.delta.defined() ? recomputed(part, {input.stream, input.delta}) : recomputed(part, {input.stream});
  return {.stream = outputs[0], .delta = outputs[1]};
}

at::Tensor Stage::forward(const MicroBatch& microbatch, const at::Tensor& input) const {
  check(input.defined() != part_.is_first(), "every stage but the first takes the output of the one before");
  std::optional<at::NoGradGuard> no_grad;
  if (!options_.trainable) no_grad.emplace();
  const std::int64_t num_rows = axis_.padded_rows(microbatch.num_stream_tokens());
  const RopeTable rope =
      rope_table(inverse_frequencies_, padded(microbatch.positions, num_rows), wide_dtype(options_.dtype));
  const StreamContext context{.attention = attention_stream(microbatch.segments, num_rows, options_.device),
                              .rope = rope,
                              .axis = axis_,
                              .queue = queue_,
                              .recomputes_inputs = options_.recompute == Recompute::kSelective};
  if (part_.is_first()) wait_for({embedding_});
  Residual residual{.stream = part_.is_first() ? embed(microbatch) : input, .delta = {}};
  for (const DecoderLayer& layer : layers_) {
    wait_for(layer.parameters());
    residual = run_layer(layer, std::move(residual), context);
  }
  if (!part_.is_last()) return residual.stream + residual.delta;
  wait_for({final_norm_, head_});
  return normalize(std::move(residual), final_norm_, epsilon_).second;
}

}  // namespace collimate
