#include "heartbeat.hpp"

#include <sstream>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

std::string render_heartbeat(const Heartbeat& beat) {
  return fmt::format("{} {} {} {}\n{}\n{}\n{}\n", beat.number, beat.step, beat.progress, beat.age.count(), beat.host,
                     beat.work, beat.waiting);
}

Heartbeat parse_heartbeat(const std::string& text) {
  Heartbeat beat;
  std::istringstream stream(text);
  std::int64_t age = 0;
  stream >> beat.number >> beat.step >> beat.progress >> age;
  stream.ignore(1);
  beat.age = std::chrono::milliseconds(age);
  for (std::string* field : {&beat.host, &beat.work, &beat.waiting}) std::getline(stream, *field);
  if (!stream) throw Error(fmt::format("a heartbeat cannot be read: {}", text));
  return beat;
}

}  // namespace collimate::detail
