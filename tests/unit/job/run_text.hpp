#pragma once
// The smallest configurations that are right, for tests that change one thing in them.

#include <string>
#include <vector>

#include "collimate/job/run_config.hpp"

namespace collimate {

inline const std::string kDpoText = R"(model: {path: models/sft}
reference: {store: out/reference.h5}
data: {train: data/train.h5}
output: {directory: out/run}
)";

inline RunConfig load_dpo(const std::vector<std::string>& overrides = {}) {
  return load_run_config(kDpoText, "run.yaml", overrides);
}

/// The message of loading `text` with the overrides, or "loaded".
inline std::string message_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_run_config(text, "run.yaml", overrides);
    return "loaded";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

}  // namespace collimate
