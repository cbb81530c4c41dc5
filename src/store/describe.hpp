#pragma once
// The descriptions of `collimate inspect`, one for each kind of thing; each ends with a line break. With kVerify they
// read everything and throw InputError at the first damage. Private to src/store.

#include <string>

#include "collimate/store/inspect.hpp"

namespace collimate::detail {

std::string describe_preferences(const std::string& path, InspectDepth depth);
std::string describe_reference_store(const std::string& path, InspectDepth depth);
std::string describe_safetensors(const std::string& path);
std::string describe_model_folder(const std::string& path, InspectDepth depth);
std::string describe_metrics(const std::string& path);
std::string describe_checkpoint(const std::string& path, InspectDepth depth);
std::string describe_checkpoints(const std::string& folder, InspectDepth depth);
std::string describe_run(const std::string& folder, InspectDepth depth);

/// Whether a folder has step_* folders in it.
bool holds_checkpoints(const std::string& folder);

}  // namespace collimate::detail
