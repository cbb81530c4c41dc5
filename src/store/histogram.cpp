#include "histogram.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

namespace collimate::detail {

namespace {

constexpr std::size_t kNumRanges = 10;
constexpr std::size_t kBarWidth = 40;

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

std::string histogram(std::span<const double> values) {
  if (values.empty()) return "    no values\n";
  const auto [least, most] = std::ranges::minmax(values);
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  std::string text = fmt::format("    mean {:.3f}, from {:.3f} to {:.3f}\n", mean, least, most);
  const double range = (most - least) / static_cast<double>(kNumRanges);
  if (!(range > 0)) return text;
  const Counts counts = count(values, least, range);
  const std::size_t highest = std::ranges::max(counts);
  for (std::size_t i = 0; i < kNumRanges; ++i) {
    const double begin = least + static_cast<double>(i) * range;
    // A range with something in it is seen.
    const std::size_t width = (counts[i] * kBarWidth + highest - 1) / highest;
    text += fmt::format("    {:>9.3f} {:>9}  {}\n", begin, counts[i], std::string(width, '#'));
  }
  return text;
}

}  // namespace collimate::detail
