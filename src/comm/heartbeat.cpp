#include "collimate/comm/heartbeat.hpp"

#include <array>

#include <fmt/format.h>

#include "collimate/base/number_text.hpp"

namespace collimate::detail {

namespace {

// What comes before `end`, which goes with it; nothing where there is no `end`.
std::optional<std::string_view> take_until(char end, std::string_view& text) {
  const std::size_t length = text.find(end);
  if (length == std::string_view::npos) return std::nullopt;
  const std::string_view taken = text.substr(0, length);
  text.remove_prefix(length + 1);
  return taken;
}

template <class Number>
bool take_number(char end, std::string_view& text, Number& number) {
  const auto taken = take_until(end, text);
  const auto read = taken ? try_number<Number>(*taken) : std::nullopt;
  if (read) number = *read;
  return read.has_value();
}

}  // namespace

std::string render_heartbeat(const Heartbeat& beat) {
  return fmt::format("{} {} {} {}\n{}\n{}\n{}\n", beat.number, beat.step, beat.progress, beat.age.count(), beat.host,
                     beat.work, beat.waiting);
}

std::optional<Heartbeat> try_read_heartbeat(std::string_view text) {
  Heartbeat beat;
  std::int64_t age = 0;
  if (!take_number(' ', text, beat.number) || !take_number(' ', text, beat.step) ||
      !take_number(' ', text, beat.progress) || !take_number('\n', text, age)) {
    return std::nullopt;
  }
  beat.age = std::chrono::milliseconds(age);
  for (std::string* field : {&beat.host, &beat.work, &beat.waiting}) {
    const auto line = take_until('\n', text);
    if (!line) return std::nullopt;
    *field = *line;
  }
  return text.empty() ? std::optional(std::move(beat)) : std::nullopt;
}

}  // namespace collimate::detail
