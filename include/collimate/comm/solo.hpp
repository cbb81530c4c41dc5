#pragma once
// A job of one rank without any backend: for programs and tests that need a mesh and no company.

#include "collimate/comm/group_factory.hpp"

namespace collimate {

/// Makes groups of one, which are the identity.
class SoloFactory final : public GroupFactory {
 public:
  [[nodiscard]] int world_rank() const override { return 0; }
  [[nodiscard]] int world_size() const override { return 1; }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override;
};

}  // namespace collimate
