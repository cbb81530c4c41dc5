#include "collimate/base/problem_list.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace collimate {

void ProblemList::add(std::string_view cause, std::string text) {
  const auto known = std::ranges::find(causes_, cause, &Cause::name);
  if (known == causes_.end()) {
    causes_.push_back({.name = std::string(cause), .first_text = std::move(text)});
  } else {
    ++known->num_places;
  }
}

std::string ProblemList::text(std::string_view separator) const {
  std::string all;
  for (const Cause& cause : causes_) {
    const std::string more =
        cause.num_places > 1 ? fmt::format(", and {} more like it", cause.num_places - 1) : std::string();
    all += fmt::format("{}{}{}", separator, cause.first_text, more);
  }
  return all;
}

}  // namespace collimate
