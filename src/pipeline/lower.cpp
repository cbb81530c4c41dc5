#include "collimate/pipeline/lower.hpp"

#include <algorithm>
#include <limits>
#include <vector>

#include "collimate/base/error.hpp"
#include "products.hpp"

namespace collimate {

namespace {

constexpr std::size_t kNowhere = std::numeric_limits<std::size_t>::max();

/// A receive, and the compute action of the receiver before which it is posted.
struct Arrival {
  Action receive;
  std::size_t before = 0;
};

/// The messages from one rank to another, in order.
using Channel = std::vector<Arrival>;

/// For each product that crosses ranks, the position of the compute action that needs it.
ProductTable<std::size_t> positions_of_use(const Schedule& compute) {
  ProductTable<std::size_t> positions(compute.num_stages(), compute.num_microbatches, kNowhere);
  for (int pp_rank = 0; pp_rank < compute.num_ranks(); ++pp_rank) {
    const std::vector<Action>& actions = compute.actions[pp_rank];
    for (std::size_t position = 0; position < actions.size(); ++position) {
      check(is_compute(actions[position].kind), "messages are added to compute actions alone");
      for_each_need(actions[position], compute.num_stages(), [&](const Product& need) {
        if (compute.rank_of_stage[need.stage] != pp_rank) positions[need] = position;
      });
    }
  }
  return positions;
}

/// The messages of `sender` to each rank.
std::vector<Channel> channels_from(int sender, const Schedule& compute, ProductTable<std::size_t>& positions) {
  std::vector<Channel> channels(compute.actions.size());
  for (const Action& action : compute.actions[sender]) {
    const auto product = product_of(action);
    const auto receiver = product ? receiver_of(compute, *product) : std::nullopt;
    if (!receiver) continue;
    const std::size_t use = positions[*product];
    if (use == kNowhere) throw InvariantError("nothing needs " + describe(*product));
    channels[*receiver].push_back({receive_of(*product), use - std::min<std::size_t>(use, 1)});
  }
  for (Channel& channel : channels) {
    for (std::size_t i = channel.size(); i > 1; --i) {
      channel[i - 2].before = std::min(channel[i - 2].before, channel[i - 1].before);
    }
  }
  return channels;
}

/// The compute actions of a rank, with the receives of its channels and its own sends between them.
std::vector<Action> join(const Schedule& compute, int pp_rank, const std::vector<Channel>& channels) {
  const std::vector<Action>& actions = compute.actions[pp_rank];
  std::vector<std::vector<Action>> receives(actions.size());
  for (const Channel& channel : channels) {
    for (const Arrival& arrival : channel) receives[arrival.before].push_back(arrival.receive);
  }
  std::vector<Action> joined;
  for (std::size_t position = 0; position < actions.size(); ++position) {
    joined.insert(joined.end(), receives[position].begin(), receives[position].end());
    joined.push_back(actions[position]);
    const auto product = product_of(actions[position]);
    if (product && receiver_of(compute, *product)) joined.push_back(send_of(*product));
  }
  return joined;
}

}  // namespace

Schedule add_messages(const Schedule& compute) {
  auto positions = positions_of_use(compute);
  std::vector<std::vector<Channel>> to(compute.actions.size());  // [receiver][sender]
  for (int sender = 0; sender < compute.num_ranks(); ++sender) {
    const auto channels = channels_from(sender, compute, positions);
    for (std::size_t receiver = 0; receiver < to.size(); ++receiver) to[receiver].push_back(channels[receiver]);
  }
  Schedule lowered = compute;
  for (int pp_rank = 0; pp_rank < compute.num_ranks(); ++pp_rank) {
    lowered.actions[pp_rank] = join(compute, pp_rank, to[pp_rank]);
  }
  return lowered;
}

}  // namespace collimate
