#pragma once
// A job whose ranks are threads of one process: what parts that communicate are tested on without a launcher.

#include <memory>

#include "collimate/comm/group_factory.hpp"

namespace collimate {

/// Where the threads meet. It outlives the factories and their groups.
class ThreadWorld {
 public:
  explicit ThreadWorld(int num_ranks);
  ~ThreadWorld();
  ThreadWorld(const ThreadWorld&) = delete;
  ThreadWorld& operator=(const ThreadWorld&) = delete;

  /// *Local.* The groups of one rank, over the `gloo` backend. They and the factory are used by one thread.
  [[nodiscard]] std::unique_ptr<GroupFactory> make_factory(int world_rank) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
