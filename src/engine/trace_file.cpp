#include "collimate/engine/trace_file.hpp"

#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "collimate/comm/agreement.hpp"
#include "collimate/io/atomic_file.hpp"

namespace collimate {

namespace {

using Json = nlohmann::ordered_json;

Json process_name(int world_rank, const Coordinate& place) {
  const std::string name =
      fmt::format("rank {} (data {}, pipeline {}, tensor {})", world_rank, place.dp_rank, place.pp_rank, place.tp_rank);
  return {{"name", "process_name"}, {"ph", "M"}, {"pid", world_rank}, {"args", {{"name", name}}}};
}

Json event_of(int world_rank, const TraceSpan& span) {
  Json event{{"name", span.name},   {"cat", span.category},   {"ph", "X"}, {"pid", world_rank}, {"tid", span.category},
             {"ts", span.begin_us}, {"dur", span.duration_us}};
  if (span.sent_bytes >= 0) event["args"] = {{"sent_bytes", span.sent_bytes}};
  return event;
}

void append_counts(Json& all, int world_rank, const Communicator& group) {
  for (const auto& [operation, name] : enum_names<CommOperation>) {
    const OperationCounts& counts = group.counts().of(operation);
    if (counts.num_calls == 0) continue;
    all.push_back({{"rank", world_rank},
                   {"group", group.name()},
                   {"operation", name},
                   {"calls", counts.num_calls},
                   {"sent_bytes", counts.sent_bytes}});
  }
}

// What one rank has to tell: {"events": [...], "communication": [...]}.
std::string own_part(const TraceRecorder& trace, const ProcessMesh& mesh) {
  const int world_rank = mesh.world().rank();
  Json events = Json::array({process_name(world_rank, mesh.coordinate())});
  for (const TraceSpan& span : trace.spans()) events.push_back(event_of(world_rank, span));
  Json communication = Json::array();
  mesh.for_each_group([&](const Communicator& group) { append_counts(communication, world_rank, group); });
  return Json{{"events", events}, {"communication", communication}}.dump();
}

std::string joined(const std::vector<std::string>& parts) {
  Json events = Json::array();
  Json communication = Json::array();
  for (const std::string& text : parts) {
    const Json part = Json::parse(text);
    events.insert(events.end(), part["events"].begin(), part["events"].end());
    communication.insert(communication.end(), part["communication"].begin(), part["communication"].end());
  }
  return Json{{"traceEvents", events}, {"displayTimeUnit", "ms"}, {"communication", communication}}.dump() + "\n";
}

}  // namespace

void write_trace(const std::string& path, const TraceRecorder& trace, const ProcessMesh& mesh) {
  const std::vector<std::string> parts = mesh.world().all_gather_bytes(own_part(trace, mesh));
  run_agreed(mesh.world(), [&] {
    if (mesh.world().rank() == 0) write_file_atomically(path, joined(parts));
  });
}

}  // namespace collimate
