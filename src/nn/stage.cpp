#include "collimate/nn/stage.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "collimate/base/error.hpp"
#include "collimate/nn/decoder_layer.hpp"
#include "collimate/nn/rope.hpp"

namespace collimate {

struct Stage::State {
  ModelSpec spec;
  StageOptions options;
  std::vector<Parameter> parameters;
  std::vector<DecoderLayer> layers;
  at::Tensor embedding;
  at::Tensor final_norm;
  at::Tensor head;
  at::Tensor inverse_frequencies;

  // The parameter, or an undefined tensor.
  [[nodiscard]] at::Tensor find(const std::string& name) const {
    const auto place = std::ranges::find(parameters, name, &Parameter::name);
    return place == parameters.end() ? at::Tensor() : place->value;
  }
};

namespace {

Parameter load_parameter(const LogicalTensor& tensor, const ParameterLoader& loader, const StageOptions& options) {
  at::Tensor value = loader(tensor);
  check(value.sizes() == at::IntArrayRef(tensor.shape),
        fmt::format("{} is loaded as [{}], not as [{}]", tensor.name, fmt::join(value.sizes(), ", "),
                    fmt::join(tensor.shape, ", ")));
  value = value.detach().to(options.dtype).contiguous();
  return {tensor.name, value.requires_grad_(options.trainable)};
}

void check_stream(const MicroBatch& microbatch, std::int64_t vocab_size) {
  check(microbatch.positions.size() == microbatch.tokens.size(), "every token of a microbatch has a position");
  check(std::ranges::all_of(microbatch.tokens, [&](auto token) { return token >= 0 && token < vocab_size; }),
        "every token of a microbatch is in the vocabulary");
}

}  // namespace

Stage::Stage(ModelSpec spec, const ParameterLoader& loader, const StageOptions& options)
    : state_(std::make_unique<State>()) {
  State& state = *state_;
  state.spec = std::move(spec);
  state.options = options;
  for (const LogicalTensor& tensor : logical_tensors(state.spec)) {
    state.parameters.push_back(load_parameter(tensor, loader, options));
  }
  for (std::int64_t i = 0; i < state.spec.num_layers; ++i) {
    state.layers.emplace_back(state.spec, i,
                              [&](std::string_view suffix) { return state.find(layer_tensor_name(i, suffix)); });
  }
  state.embedding = state.find(kEmbeddingName);
  state.final_norm = state.find(kFinalNormName);
  state.head = state.spec.tie_word_embeddings ? state.embedding : state.find(kHeadName);
  state.inverse_frequencies = rope_inverse_frequencies(state.spec.rope, state.spec.head_dim);
}

Stage::~Stage() = default;
Stage::Stage(Stage&&) noexcept = default;
Stage& Stage::operator=(Stage&&) noexcept = default;

const ModelSpec& Stage::spec() const { return state_->spec; }
std::span<const Parameter> Stage::parameters() const { return state_->parameters; }
const at::Tensor& Stage::head_weight() const { return state_->head; }

at::Tensor Stage::forward(const MicroBatch& microbatch) const {
  const State& state = *state_;
  check_stream(microbatch, state.spec.vocab_size);
  std::optional<at::NoGradGuard> no_grad;
  if (!state.options.trainable) no_grad.emplace();
  const RopeTable rope = rope_table(state.inverse_frequencies, microbatch.positions, state.options.dtype);
  const at::Tensor tokens = at::tensor(at::IntArrayRef(microbatch.tokens), at::kLong);
  Residual residual{.stream = at::embedding(state.embedding, tokens), .delta = {}};
  for (const DecoderLayer& layer : state.layers) {
    residual = layer.forward(residual, {.segments = microbatch.segments, .rope = rope});
  }
  return normalize(residual, state.final_norm, state.spec.rms_norm_eps).second;
}

}  // namespace collimate
