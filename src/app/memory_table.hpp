#pragma once
// The part of `check` and `plan` that says what training takes.

#include "collimate/job/config.hpp"
#include "collimate/mesh/mesh_shape.hpp"
#include "collimate/model/spec.hpp"
#include "collimate/plan/job_memory.hpp"

namespace collimate::app {

/// Prints every rank's memory, each line behind `prefix`; of more than 32 ranks the largest of each part of the
/// pipeline. Throws InputError where runtime.memory_bytes says that it does not fit.
void print_memory(const RunConfig& config, const ModelSpec& spec, const MeshShape& shape, const PackStep& pack,
                  const char* prefix);

}  // namespace collimate::app
