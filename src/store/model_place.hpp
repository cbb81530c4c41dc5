#pragma once
// What people give as a model folder and what is none: told by name, with what to do. Private to src/store.

#include <string>

namespace collimate::detail {

/// *Local.* The config.json of a folder that may be a model's. Throws InputError for everything else: nothing there, a
/// name on the Hugging Face Hub, a file, a folder of another kind; and for an adapter, also one beside full weights,
/// since transformers with PEFT would load its base model and not those.
std::string require_model_place(const std::string& path);

/// *Local.* Throws InputError for a folder that has a config.json and no safetensors: says what it has instead.
[[noreturn]] void refuse_other_weights(const std::string& folder);

}  // namespace collimate::detail
