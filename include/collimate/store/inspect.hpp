#pragma once
// `collimate inspect`: what a file or folder is, told by its content.

#include <string>

namespace collimate {

enum class InspectDepth {
  kSummary,  ///< What headers say.
  kVerify,   ///< Every byte is read and every checksum checked.
};

enum class InspectForm {
  kTable,  ///< For people: a line a value, fingerprints last.
  kJson,   ///< For programs: the same as one object (docs/formats.md).
};

/// What is in a preference file, reference store, checkpoint, folder of checkpoints, run folder, model folder,
/// safetensors file or metrics.jsonl, with a line break at its end. *Local.* Throws InputError when `path` is none of
/// these, or is damaged.
std::string inspect_path(const std::string& path, InspectDepth depth, InspectForm form = InspectForm::kTable);

}  // namespace collimate
