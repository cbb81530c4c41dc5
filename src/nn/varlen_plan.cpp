#include "collimate/nn/varlen_plan.hpp"

#include <algorithm>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

// The segments in the order of the stream, with the rows between them as segments of their own.
std::vector<Segment> cover(std::span<const Segment> segments, std::int64_t num_rows, std::vector<ShardRange>& padding) {
  std::vector<Segment> sorted;
  std::ranges::copy_if(segments, std::back_inserter(sorted), [](const Segment& segment) { return segment.length > 0; });
  std::ranges::sort(sorted, {}, &Segment::begin);
  std::vector<Segment> all;
  std::int64_t end = 0;
  const auto pad_to = [&](std::int64_t row) {
    check(row >= end, "segments of a stream do not overlap and are in it");
    if (row == end) return;
    padding.push_back({.begin = end, .length = row - end});
    all.push_back({.begin = end, .length = row - end});
  };
  for (const Segment& segment : sorted) {
    pad_to(segment.begin);
    all.push_back(segment);
    end = segment.begin + segment.length;
  }
  pad_to(num_rows);
  return all;
}

// Where each row's copies as a prefix are: as many lists as the row with most of them needs.
void place_copies(VarlenPlan& plan, const std::vector<Segment>& segments, std::int64_t num_rows) {
  const auto nowhere = static_cast<std::int64_t>(plan.key_rows.size());
  plan.places.assign(1, std::vector<std::int64_t>(static_cast<std::size_t>(num_rows), nowhere));
  std::vector<std::size_t> num_copies(static_cast<std::size_t>(num_rows), 0);
  std::int64_t key = 0;
  for (const Segment& segment : segments) {
    for (std::int64_t i = 0; i < segment.prefix_length; ++i) {
      const auto row = static_cast<std::size_t>(segment.prefix_begin + i);
      const std::size_t list = ++num_copies[row];
      if (list == plan.places.size()) plan.places.emplace_back(static_cast<std::size_t>(num_rows), nowhere);
      plan.places[list][row] = key++;
    }
    for (std::int64_t i = 0; i < segment.length; ++i) {
      plan.places[0][static_cast<std::size_t>(segment.begin + i)] = key++;
    }
  }
}

void gather_keys(VarlenPlan& plan, const std::vector<Segment>& segments, std::int64_t num_rows) {
  for (const Segment& segment : segments) {
    for (std::int64_t i = 0; i < segment.prefix_length; ++i) plan.key_rows.push_back(segment.prefix_begin + i);
    for (std::int64_t i = 0; i < segment.length; ++i) plan.key_rows.push_back(segment.begin + i);
  }
  place_copies(plan, segments, num_rows);
  plan.key_rows.push_back(0);
}

}  // namespace

VarlenPlan plan_varlen(std::span<const Segment> segments, std::int64_t num_rows) {
  VarlenPlan plan;
  const std::vector<Segment> all = cover(segments, num_rows, plan.padding);
  plan.row_ends = {0};
  plan.key_ends = {0};
  bool has_prefix = false;
  for (const Segment& segment : all) {
    const std::int64_t num_keys = segment.prefix_length + segment.length;
    plan.row_ends.push_back(static_cast<std::int32_t>(plan.row_ends.back() + segment.length));
    plan.key_ends.push_back(static_cast<std::int32_t>(plan.key_ends.back() + num_keys));
    plan.most_rows = std::max(plan.most_rows, segment.length);
    plan.most_keys = std::max(plan.most_keys, num_keys);
    has_prefix = has_prefix || segment.prefix_length > 0;
  }
  if (has_prefix) gather_keys(plan, all, num_rows);
  return plan;
}

}  // namespace collimate
