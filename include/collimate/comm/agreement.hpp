#pragma once
// Turns a failure on some ranks into the same error on all of them: no rank is left waiting in a collective that
// another will never enter, and the user reads one message.

#include <functional>
#include <optional>
#include <utility>

#include "collimate/comm/communicator.hpp"

namespace collimate {

/// *Collective.* Runs `part` on every rank (it must not communicate), then agrees: if any rank threw, every rank throws
/// AgreedError with the lowest failing rank's message and exit code.
void run_agreed(Communicator& group, const std::function<void()>& part);

/// *Collective.* As run_agreed, for a part that gives a value.
template <class Part>
auto make_agreed(Communicator& group, Part&& part) {
  std::optional<decltype(part())> value;
  run_agreed(group, [&] { value.emplace(part()); });
  return std::move(*value);
}

}  // namespace collimate
