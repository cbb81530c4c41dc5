#include "collimate/pipeline/validate.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/pipeline/simulate.hpp"
#include "products.hpp"

namespace collimate {

namespace {

/// Where an action stands.
struct Place {
  int pp_rank = 0;
  std::size_t position = 0;
  Action action;
};

[[noreturn]] void refuse(const Place& place, const std::string& fault) {
  throw InvariantError(fmt::format("schedule: rank {}, action {} ({}): {}", place.pp_rank, place.position,
                                   describe(place.action), fault));
}

template <class Visit>
void for_each_place(const Schedule& schedule, Visit visit) {
  for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) {
    const std::vector<Action>& actions = schedule.actions[pp_rank];
    for (std::size_t position = 0; position < actions.size(); ++position) {
      visit(Place{pp_rank, position, actions[position]});
    }
  }
}

void require_ranks(const Schedule& schedule) {
  for (int stage = 0; stage < schedule.num_stages(); ++stage) {
    const int pp_rank = schedule.rank_of_stage[stage];
    if (pp_rank >= 0 && pp_rank < schedule.num_ranks()) continue;
    throw InvariantError(fmt::format("schedule: stage {} lies on rank {}, but there are lists for {} ranks", stage,
                                     pp_rank, schedule.num_ranks()));
  }
}

void require_place(const Schedule& schedule, const Place& place) {
  const auto [kind, stage, microbatch] = place.action;
  if (stage < 0 || stage >= schedule.num_stages()) {
    refuse(place, fmt::format("there are {} stages", schedule.num_stages()));
  }
  if (microbatch < 0 || microbatch >= schedule.num_microbatches) {
    refuse(place, fmt::format("there are {} microbatches", schedule.num_microbatches));
  }
  const int holder = schedule.rank_of_stage[stage];
  if (holder != place.pp_rank) refuse(place, fmt::format("rank {} holds the stage", holder));
  if (is_compute(kind)) return;
  const Product product = carried_by(place.action);
  if (product.stage < 0 || product.stage >= schedule.num_stages() || !receiver_of(schedule, product)) {
    refuse(place, "no stage of another rank is at the other end");
  }
}

/// How often each compute action of one stage and microbatch occurs.
void require_counts(const Schedule& schedule, const std::array<int, 4>& counts, int stage, int microbatch,
                    bool has_backward) {
  const auto [forwards, backwards, input_gradients, weight_gradients] = counts;
  const bool is_forward_only = backwards + input_gradients + weight_gradients == 0;
  const bool is_whole = backwards == 1 && input_gradients == 0 && weight_gradients == 0;
  const bool is_split = backwards == 0 && input_gradients == 1 && weight_gradients == 1;
  if (forwards == 1 && (has_backward ? is_whole || is_split : is_forward_only)) return;
  throw InvariantError(fmt::format(
      "schedule: rank {}: stage {}, microbatch {} has {} forwards, {} backwards, {} input gradients and {} "
      "weight gradients: it takes one forward{}",
      schedule.rank_of_stage[stage], stage, microbatch, forwards, backwards, input_gradients, weight_gradients,
      has_backward ? " and either one backward or one input and one weight gradient" : ""));
}

void require_complete(const Schedule& schedule) {
  static_assert(static_cast<int>(ActionKind::kWeightGradient) == 3, "the kinds of compute actions come first");
  std::vector<std::array<int, 4>> counts(schedule.rank_of_stage.size() *
                                         static_cast<std::size_t>(schedule.num_microbatches));
  bool has_backward = false;
  for_each_place(schedule, [&](const Place& place) {
    const auto [kind, stage, microbatch] = place.action;
    if (!is_compute(kind)) return;
    ++counts[stage * schedule.num_microbatches + microbatch][static_cast<std::size_t>(kind)];
    has_backward |= kind != ActionKind::kForward;
  });
  for (int i = 0; i < std::ssize(counts); ++i) {
    require_counts(schedule, counts[i], i / schedule.num_microbatches, i % schedule.num_microbatches, has_backward);
  }
}

/// What a rank needs was made, or its receive posted, further up in its own list.
void require_order(const Schedule& schedule, int pp_rank) {
  ProductTable<char> is_there(schedule.num_stages(), schedule.num_microbatches, 0);
  const std::vector<Action>& actions = schedule.actions[pp_rank];
  for (std::size_t position = 0; position < actions.size(); ++position) {
    const Action& action = actions[position];
    for_each_need(action, schedule.num_stages(), [&](const Product& need) {
      if (is_there[need] != 0) return;
      const bool is_own = schedule.rank_of_stage[need.stage] == pp_rank;
      refuse({pp_rank, position, action},
             fmt::format("{} is not {} before it", describe(need), is_own ? "made" : "received"));
    });
    if (is_receive(action.kind)) is_there[carried_by(action)] = 1;
    if (const auto product = product_of(action)) is_there[*product] = 1;
  }
}

/// The messages from one rank to another, in the order in which each of the two has them.
struct MessageLists {
  std::vector<Product> sent;
  std::vector<Product> received;
};

void require_same_messages(int sender, int receiver, const MessageLists& channel) {
  const auto& [sent, received] = channel;
  const std::size_t num_both = std::min(sent.size(), received.size());
  for (std::size_t i = 0; i < num_both; ++i) {
    if (sent[i] == received[i]) continue;
    throw InvariantError(fmt::format("schedule: message {} from rank {} to rank {}: sent is {}, received {}", i, sender,
                                     receiver, describe(sent[i]), describe(received[i])));
  }
  if (sent.size() == received.size()) return;
  throw InvariantError(fmt::format("schedule: rank {} sends {} messages to rank {}, which receives {}: {} is left over",
                                   sender, sent.size(), receiver, received.size(),
                                   describe(sent.size() > num_both ? sent[num_both] : received[num_both])));
}

void require_messages(const Schedule& schedule) {
  std::map<std::pair<int, int>, MessageLists> channels;
  for_each_place(schedule, [&](const Place& place) {
    if (is_compute(place.action.kind)) return;
    const int peer = peer_of(schedule, place.action);
    const Product product = carried_by(place.action);
    if (is_send(place.action.kind)) channels[{place.pp_rank, peer}].sent.push_back(product);
    if (is_receive(place.action.kind)) channels[{peer, place.pp_rank}].received.push_back(product);
  });
  for (const auto& [ranks, channel] : channels) require_same_messages(ranks.first, ranks.second, channel);
}

}  // namespace

void validate_schedule(const Schedule& schedule) {
  check(schedule.num_microbatches >= 0, "a number of microbatches is not negative");
  require_ranks(schedule);
  for_each_place(schedule, [&](const Place& place) { require_place(schedule, place); });
  require_complete(schedule);
  for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) require_order(schedule, pp_rank);
  require_messages(schedule);
  simulate(schedule, even_costs(schedule.num_stages()));  // throws where it comes to a halt
}

void validate_schedule(const Schedule& schedule, const ScheduleOptions& options) {
  validate_schedule(schedule);
  check(schedule.rank_of_stage == place_stages(options.type, options.num_ranks, options.virtual_stages),
        "a generated schedule has its type's placement");
  check(schedule.num_microbatches == options.num_microbatches, "a generated schedule has all microbatches");
  for (int pp_rank = 0; pp_rank < schedule.num_ranks(); ++pp_rank) {
    const int peak = peak_live_activations(schedule, pp_rank);
    const int bound = activation_bound(options, pp_rank);
    if (peak <= bound) continue;
    throw InvariantError(fmt::format("schedule: rank {} keeps {} activations, beyond the bound of {}, which is {}",
                                     pp_rank, peak, enum_name(options.type), bound));
  }
}

}  // namespace collimate
