#pragma once
// Logical tensors: the parameters of a model as a Hugging Face folder stores them, whole and by name, whatever the
// layout.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "collimate/model/spec.hpp"

namespace collimate {

/// One stored parameter.
struct LogicalTensor {
  std::string name;                 ///< Hugging Face name, such as model.layers.0.self_attn.q_proj.weight.
  std::vector<std::int64_t> shape;  ///< Row-major, linear weights as [out, in].

  bool operator==(const LogicalTensor&) const = default;
  [[nodiscard]] std::int64_t num_elements() const;
};

/// All parameters in a fixed order: embedding, layers, final norm, head. With tied embeddings there is no
/// lm_head.weight.
std::vector<LogicalTensor> logical_tensors(const ModelSpec& spec);

/// The parameters of decoder layer `layer_index` in the same order.
std::vector<LogicalTensor> layer_tensors(const ModelSpec& spec, std::int64_t layer_index);

/// Name of a parameter of one layer: layer_tensor_name(3, "mlp.up_proj.weight").
std::string layer_tensor_name(std::int64_t layer_index, std::string_view suffix);

inline constexpr const char* kEmbeddingName = "model.embed_tokens.weight";
inline constexpr const char* kFinalNormName = "model.norm.weight";
inline constexpr const char* kHeadName = "lm_head.weight";

}  // namespace collimate
