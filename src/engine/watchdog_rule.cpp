#include "collimate/engine/watchdog_rule.hpp"

#include <algorithm>
#include <numeric>
#include <vector>

#include <fmt/format.h>

namespace collimate {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestSilence = std::chrono::minutes(1);
// Without rank 0, what each rank waits longer than the one before: time for that one to end the job.
constexpr milliseconds kTurn = std::chrono::seconds(4);
constexpr int kMostTurns = 30;
constexpr std::size_t kMostRanks = 32;

using Ranks = std::vector<std::size_t>;

std::string seconds_text(milliseconds duration) {
  const double number = static_cast<double>(duration.count()) / 1000;
  return fmt::format("{:.{}f} s", number, number < 100 ? 1 : 0);
}

std::string name_of(std::size_t rank, const RankHealth& health) {
  return health.host.empty() ? fmt::format("rank {}", rank) : fmt::format("rank {} ({})", rank, health.host);
}

std::string action_of(const Activity& activity) {
  const std::string work = activity.work.empty() ? "its start" : activity.work;
  return activity.waits_for_others() ? fmt::format("{}, in {}", activity.waiting, work) : work;
}

std::string step_text(std::int64_t step) {
  return step < 0 ? "before the first step" : fmt::format("in step {}", step);
}

bool is_silent(const RankHealth& health, const WatchdogLimits& limits) { return health.silent_for > limits.silence; }

// Of the ranks that `condition` holds for the one whose last action is oldest.
template <class Condition>
std::optional<std::size_t> find_oldest(const JobHealth& health, const Condition& condition) {
  std::optional<std::size_t> oldest;
  for (std::size_t rank = 0; rank < health.ranks.size(); ++rank) {
    const RankHealth& one = health.ranks[rank];
    if (condition(one) && (!oldest || one.action_age > health.ranks[*oldest].action_age)) oldest = rank;
  }
  return oldest;
}

std::string silence_reason(std::size_t rank, const RankHealth& health, milliseconds silent_for) {
  return fmt::format("{} has not been heard of for {}: it is stopped or gone. Its last word was: {}, {}",
                     name_of(rank, health), seconds_text(silent_for), action_of(health.activity),
                     step_text(health.activity.step));
}

std::string line_of(std::size_t rank, const RankHealth& health, const WatchdogLimits& limits) {
  const bool is_known = !health.host.empty();
  std::string line = fmt::format("\n  {}: ", name_of(rank, health));
  if (!is_known) return line + "nothing is known here";
  if (health.activity.step >= 0) line += fmt::format("step {}: ", health.activity.step);
  line += fmt::format("{}, {} ago", action_of(health.activity), seconds_text(health.action_age));
  if (is_silent(health, limits)) line += fmt::format("; silent for {}", seconds_text(health.silent_for));
  return line;
}

// All, or the kMostRanks whose last actions are oldest; in rank order.
Ranks shown_ranks(const JobHealth& health) {
  Ranks ranks(health.ranks.size());
  std::iota(ranks.begin(), ranks.end(), std::size_t{0});
  if (ranks.size() <= kMostRanks) return ranks;
  std::ranges::stable_sort(ranks, std::greater(), [&](std::size_t rank) { return health.ranks[rank].action_age; });
  ranks.resize(kMostRanks);
  std::ranges::sort(ranks);
  return ranks;
}

}  // namespace

WatchdogLimits WatchdogLimits::of(milliseconds limit) {
  return {.action = limit, .silence = std::min(limit, kLongestSilence)};
}

std::optional<std::string> find_stuck(const JobHealth& health, const WatchdogLimits& limits) {
  if (const auto rank = find_oldest(health, [&](const RankHealth& one) { return is_silent(one, limits); })) {
    const RankHealth& silent = health.ranks[*rank];
    return silence_reason(*rank, silent, silent.silent_for);
  }
  const auto is_old = [&](const RankHealth& one) { return one.action_age > limits.action; };
  const auto works = [](const RankHealth& one) { return !one.activity.waits_for_others(); };
  if (const auto rank = find_oldest(health, [&](const RankHealth& one) { return works(one) && is_old(one); })) {
    const RankHealth& stuck = health.ranks[*rank];
    return fmt::format("{} makes no progress since {}, {}: {}", name_of(*rank, stuck), seconds_text(stuck.action_age),
                       step_text(stuck.activity.step), action_of(stuck.activity));
  }
  if (!std::ranges::all_of(health.ranks, [&](const RankHealth& one) { return !works(one) && is_old(one); })) return {};
  const std::size_t rank = *find_oldest(health, [](const RankHealth&) { return true; });
  const RankHealth& first = health.ranks[rank];
  return fmt::format("every rank waits for others, and none makes progress; {} longest, since {}, {}: {}",
                     name_of(rank, first), seconds_text(first.action_age), step_text(first.activity.step),
                     action_of(first.activity));
}

std::optional<std::string> find_lost_store(const JobHealth& health, const WatchdogLimits& limits) {
  if (health.world_rank == 0) return std::nullopt;
  const milliseconds turn = std::min(health.world_rank - 1, kMostTurns) * kTurn;
  if (health.store_silent_for <= limits.silence + turn) return std::nullopt;
  return silence_reason(0, health.ranks.front(), health.store_silent_for);
}

std::string describe_stuck(const std::string& reason, const JobHealth& health, const WatchdogLimits& limits) {
  std::string text = "the job is stuck: " + reason;
  const Ranks shown = shown_ranks(health);
  for (const std::size_t rank : shown) text += line_of(rank, health.ranks[rank], limits);
  if (shown.size() < health.ranks.size()) {
    text += fmt::format("\n  and {} more ranks, which did something later", health.ranks.size() - shown.size());
  }
  return text;
}

}  // namespace collimate
