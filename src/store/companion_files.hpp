#pragma once
// The files that belong to a model beside its config and weights. Private to src/store.

#include <string>
#include <vector>

namespace collimate::detail {

/// *Local.* Of those in `folder` the ones that make a tokenizer with its chat templates, relative to it, sorted.
std::vector<std::string> tokenizer_files(const std::string& folder);

/// *Local.* The same with what else goes where the model goes: processors, generation_config.json, all
/// Python files (config.json names some: auto_map), licenses. A known list: what a folder has beside it is of other
/// weights (adapters, optimizer states, other formats), of a run that has ended, or, as README.md, tells of the model
/// before training.
std::vector<std::string> companion_files(const std::string& folder);

}  // namespace collimate::detail
