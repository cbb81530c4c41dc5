#pragma once
// What a rank tells of itself at every beat, as text for the store.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "collimate/base/activity_log.hpp"

namespace collimate::detail {

struct Heartbeat {
  std::uint64_t number = 0;  // of the beat: grows
  std::string host;
  std::string work;
  std::string waiting;
  std::int64_t step = -1;
  std::uint64_t progress = 0;
  std::chrono::milliseconds age{0};  // of the last action, by the sender's clock

  bool operator==(const Heartbeat&) const = default;
};

/// Texts without line ends, as ActivityLog gives them. *Local.*
std::string render_heartbeat(const Heartbeat& beat);

/// Nothing for what render_heartbeat does not give. *Local.*
std::optional<Heartbeat> try_read_heartbeat(std::string_view text);

}  // namespace collimate::detail
