#pragma once
// `runtime.trace`: what every rank did and when, as a Chrome trace (chrome://tracing, ui.perfetto.dev), and what every
// group of the mesh carried.

#include <string>

#include "collimate/base/trace.hpp"
#include "collimate/mesh/process_mesh.hpp"

namespace collimate {

/// *Collective* over the job. Gathers the spans and counts of all ranks and writes them on rank 0, whole or not at all:
/// "traceEvents" with a process a rank and a thread a category, and "communication" with calls and sent bytes by rank,
/// group and operation. Throws AgreedError when the file cannot be written.
void write_trace(const std::string& path, const TraceRecorder& trace, const ProcessMesh& mesh);

}  // namespace collimate
