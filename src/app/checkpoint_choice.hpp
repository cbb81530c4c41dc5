#pragma once
// The option --checkpoint of `evaluate` and `export`.

#include <optional>
#include <string>

#include "collimate/job/config.hpp"
#include "collimate/store/checkpoint.hpp"

namespace collimate::app {

/// *Local.* The checkpoint that `choice` names: "latest" or "best" of output.directory, or a folder; nothing for
/// "initial", the weights that training started from. Throws InputError when there is none or it does not verify.
std::optional<Checkpoint> open_chosen_checkpoint(const RunConfig& config, const std::string& choice);

}  // namespace collimate::app
