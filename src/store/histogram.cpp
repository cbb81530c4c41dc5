#include "histogram.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace collimate::detail {

namespace {

constexpr std::size_t kNumRanges = 10;

using Counts = std::array<std::size_t, kNumRanges>;

Counts count(std::span<const double> values, double least, double range) {
  Counts counts{};
  for (const double value : values) {
    const auto index = static_cast<std::size_t>((value - least) / range);
    ++counts[std::min(index, kNumRanges - 1)];
  }
  return counts;
}

}  // namespace

nlohmann::ordered_json histogram(std::span<const double> values) {
  if (values.empty()) return nullptr;
  const auto [least, greatest] = std::ranges::minmax(values);
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  nlohmann::ordered_json result{{"mean", mean}, {"least", least}, {"greatest", greatest}};
  const double range = (greatest - least) / static_cast<double>(kNumRanges);
  if (!(range > 0) || !std::isfinite(range)) return result;
  const Counts counts = count(values, least, range);
  for (std::size_t i = 0; i < kNumRanges; ++i) {
    result["ranges"].push_back({{"from", least + static_cast<double>(i) * range}, {"count", counts[i]}});
  }
  return result;
}

}  // namespace collimate::detail
