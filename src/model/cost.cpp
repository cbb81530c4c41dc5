#include "collimate/model/cost.hpp"

#include <algorithm>

#include "collimate/model/logical_tensor.hpp"

namespace collimate {

namespace {

// Elements of the weight matrices of one layer, norms and biases not among them.
std::int64_t num_layer_matrix_elements(const ModelSpec& spec) {
  std::int64_t elements = 0;
  for (const LogicalTensor& tensor : layer_tensors(spec, 0)) {
    if (tensor.shape.size() == 2) elements += tensor.num_elements();
  }
  return elements;
}

}  // namespace

std::int64_t num_parameters(const ModelSpec& spec) {
  std::int64_t elements = 0;
  for (const LogicalTensor& tensor : logical_tensors(spec)) elements += tensor.num_elements();
  return elements;
}

ForwardFlops forward_flops(const ModelSpec& spec, const StreamCounts& stream) {
  const auto num_windowed = static_cast<double>(std::ranges::count(spec.windowed_layers, true));
  const double num_full = static_cast<double>(spec.num_layers) - num_windowed;
  const double keys = num_full * static_cast<double>(stream.num_attended_keys) +
                      num_windowed * static_cast<double>(stream.num_windowed_keys);
  const auto layer_elements = static_cast<double>(spec.num_layers * num_layer_matrix_elements(spec));
  const auto head_elements = static_cast<double>(spec.vocab_size * spec.hidden_size);
  return {.projections = 2.0 * layer_elements * static_cast<double>(stream.num_tokens),
          // q k^T and p v: two products of head_dim multiply-adds for each head and visible key.
          .attention = 4.0 * keys * static_cast<double>(spec.num_heads * spec.head_dim),
          .head = 2.0 * head_elements * static_cast<double>(stream.num_labelled_rows)};
}

}  // namespace collimate
