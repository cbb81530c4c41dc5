#pragma once
// Tensors of a folder that are no parameters of its model, by their names. Private to src/store.

#include <string>
#include <string_view>

#include "collimate/model/spec.hpp"

namespace collimate::detail {

/// Whether older writers store it although every program computes it from config.json: RoPE's tables, masks, positions.
bool is_computed_buffer(std::string_view name);

/// What a tensor that the model has no place for says of the folder, and what to do; empty where its name tells
/// nothing.
std::string meaning_of_unexpected(std::string_view name, const ModelSpec& spec);

}  // namespace collimate::detail
