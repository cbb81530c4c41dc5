#define USE_C10D_GLOO  // what libtorch's header asks for

#include "gloo.hpp"

#include <chrono>
#include <string>

#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include "../c10d/c10d_factory.hpp"
#include "collimate/comm/thread_world.hpp"

namespace collimate {

namespace detail {

namespace {

struct GlooOptions {
  std::string address = "127.0.0.1";  ///< this rank's, on the network that the tensors go over
  std::chrono::milliseconds timeout = std::chrono::minutes(30);  ///< of one operation
};

BackendMaker gloo_backend_maker(const GlooOptions& options) {
  return [=](const Store& store, int rank, int size) -> C10dBackend {
    using Gloo = c10d::ProcessGroupGloo;
    auto gloo_options = Gloo::Options::create(options.timeout);
    gloo_options->devices = {Gloo::createDeviceForHostname(options.address)};
    gloo_options->threads = 1;  // a communicator runs one operation at a time
    auto gloo = c10::make_intrusive<Gloo>(store, rank, size, gloo_options);
    // A rank that is connected may end its group at once; the others must be connected by then.
    gloo->barrier()->wait();
    return gloo;
  };
}

}  // namespace

std::unique_ptr<GroupFactory> make_gloo_factory(MpiEnvironment& environment, JobStore& store) {
  C10dFactoryOptions options = options_over(environment, store);
  options.make_backend = gloo_backend_maker({.address = store.own_address()});
  return std::make_unique<C10dFactory>(std::move(options));
}

}  // namespace detail

struct ThreadWorld::State {
  int num_ranks;
  detail::Store store = detail::make_hash_store();
};

ThreadWorld::ThreadWorld(int num_ranks) : state_(std::make_unique<State>(State{.num_ranks = num_ranks})) {}

ThreadWorld::~ThreadWorld() = default;

std::unique_ptr<GroupFactory> ThreadWorld::make_factory(int world_rank) const {
  check(world_rank >= 0 && world_rank < state_->num_ranks, "a rank is inside its world");
  // A thread that has failed is not waited for as long as a process may be.
  const detail::GlooOptions options{.timeout = std::chrono::minutes(1)};
  return std::make_unique<detail::C10dFactory>(
      detail::C10dFactoryOptions{.world_rank = world_rank,
                                 .world_size = state_->num_ranks,
                                 .store = state_->store,
                                 .make_backend = detail::gloo_backend_maker(options)});
}

}  // namespace collimate
