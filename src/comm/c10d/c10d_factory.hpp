#pragma once
// Groups of a c10d backend: ranks find each other through a store.

#include <functional>

#include "c10d_communicator.hpp"
#include "collimate/comm/job_store.hpp"
#include "collimate/comm/mpi/mpi_environment.hpp"
#include "stores.hpp"

namespace collimate::detail {

/// *Collective* over a group, whose store it gets: this rank's end of a backend.
using BackendMaker = std::function<C10dBackend(const Store& store, int rank, int size)>;

struct C10dFactoryOptions {
  int world_rank = 0;
  int world_size = 1;
  Store store;
  at::Device device = at::kCPU;
  BackendMaker make_backend;
  bool has_two_directions = false;  ///< each group gets a second backend, for messages to lower ranks
  GroupFactory* control = nullptr;  ///< makes the groups that carry bytes; not owned. Null: the backend does
};

/// *Local.* What any backend has over processes: the job's store, and MPI for bytes. Both must outlive the factory.
C10dFactoryOptions options_over(MpiEnvironment& environment, JobStore& store);

class C10dFactory final : public GroupFactory {
 public:
  explicit C10dFactory(C10dFactoryOptions options) : options_(std::move(options)) {}

  [[nodiscard]] int world_rank() const override { return options_.world_rank; }
  [[nodiscard]] int world_size() const override { return options_.world_size; }
  [[nodiscard]] c10::Device device() const override { return options_.device; }
  [[nodiscard]] std::unique_ptr<Communicator> make_group(const std::string& name,
                                                         const std::vector<int>& world_ranks) override;

 private:
  C10dFactoryOptions options_;
  int num_groups_ = 0;  ///< the same on every rank, so that no two groups meet under the same keys
};

}  // namespace collimate::detail
