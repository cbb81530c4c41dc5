#pragma once
// Where groups come from: one factory a backend. A mesh asks it for the groups of every axis.

#include <memory>
#include <string>
#include <vector>

#include "collimate/comm/communicator.hpp"

namespace c10 {
struct Device;
}

namespace collimate {

/// Makes groups among the ranks of one job.
class GroupFactory {
 public:
  GroupFactory() = default;
  virtual ~GroupFactory() = default;
  GroupFactory(const GroupFactory&) = delete;
  GroupFactory& operator=(const GroupFactory&) = delete;

  [[nodiscard]] virtual int world_rank() const = 0;
  [[nodiscard]] virtual int world_size() const = 0;

  /// *Local.* Where the tensors lie that its groups carry: the CPU, unless a backend says otherwise.
  [[nodiscard]] virtual c10::Device device() const;

  /// *Collective* over the job: every rank gives the members of its own group, in their order; the groups of one call
  /// divide the job among them. Each group has a message space of its own.
  [[nodiscard]] virtual std::unique_ptr<Communicator> make_group(const std::string& name,
                                                                 const std::vector<int>& world_ranks) = 0;
  /// *Collective.* A group of all ranks.
  [[nodiscard]] std::unique_ptr<Communicator> make_world_group();

 protected:
  /// This rank's place among the members of its own group.
  [[nodiscard]] int rank_among(const std::vector<int>& world_ranks) const;
};

}  // namespace collimate
