#include "collimate/config/constraints.hpp"

#include <cmath>

#include <fmt/format.h>

namespace collimate {

std::string Range::expected() const {
  const bool has_low = std::isfinite(low);
  const bool has_high = std::isfinite(high);
  std::string below = has_high ? fmt::format("{} {}", high_is_open ? "below" : "at most", high) : "";
  if (!has_low) return below;
  if (!has_high) return fmt::format("{} {}", low_is_open ? "above" : "at least", low);
  if (low_is_open || high_is_open) return fmt::format("{} {} and {}", low_is_open ? "above" : "at least", low, below);
  return fmt::format("from {} to {}", low, high);
}

std::string CountOrUnlimited::expected() const { return "at least 1, or -1 for no limit"; }

std::string FilePath::expected() const { return "a path"; }

}  // namespace collimate
