#pragma once
// The descriptions of `collimate inspect`, one for each kind of thing. With kVerify they read everything and throw
// InputError at the first damage. Private to src/store.

#include <string>

#include <nlohmann/json.hpp>

#include "collimate/store/inspect.hpp"

namespace collimate::detail {

/// What `--json` prints: "kind", "path", facts, and "fingerprints" where there are any.
using Description = nlohmann::ordered_json;

Description describe_preferences(const std::string& path, InspectDepth depth);
Description describe_reference_store(const std::string& path, InspectDepth depth);
Description describe_safetensors(const std::string& path);
Description describe_model_folder(const std::string& path, InspectDepth depth);
Description describe_metrics(const std::string& path);
Description describe_checkpoint(const std::string& path, InspectDepth depth);
Description describe_checkpoints(const std::string& folder, InspectDepth depth);
Description describe_run(const std::string& folder, InspectDepth depth);

/// Whether a folder has step_* folders in it.
bool holds_checkpoints(const std::string& folder);

/// The same for a person: a headline, then a line for each value behind its key, in the order of the description. Pure.
std::string description_table(const Description& description);

}  // namespace collimate::detail
