#include "collimate/comm/job_store.hpp"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/number_text.hpp"
#include "collimate/comm/agreement.hpp"
#include "collimate/comm/job_store/descriptors.hpp"
#include "collimate/comm/job_store/interfaces.hpp"
#include "collimate/comm/job_store/key_values.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"
#include "collimate/comm/job_store/store_server.hpp"

namespace collimate {

namespace {

using detail::Fields;

// With which ranks wait for the last one at the end of a job.
constexpr auto kEndPatience = std::chrono::hours(1);
constexpr const char* kAllClosed = "all closed";

std::string closed_key(int rank) { return fmt::format("closed.{}", rank); }
std::string left_key(int rank) { return fmt::format("left.{}", rank); }

bool are_on_one_machine(Communicator& world) {
  const std::vector<std::string> names = world.all_gather_bytes(detail::loopback_name());
  return std::ranges::all_of(names, [&](const std::string& name) { return name == names.front(); });
}

}  // namespace

struct JobStore::State {
  // Collective. On rank 0 of several: the store that the others connect to.
  State(Communicator& world, const std::optional<std::string>& interface)
      : world_rank(world.rank()), world_size(world.size()) {
    const bool is_on_one_machine = are_on_one_machine(world);
    run_agreed(world, [&] { own_address = detail::own_address(interface, is_on_one_machine); });
    std::string invitation;
    run_agreed(world, [&] {
      if (world_rank != 0) return;
      values = std::make_unique<detail::LocalKeyValues>(table);
      if (world_size > 1) invitation = host();
    });
    world.broadcast_bytes(invitation, 0);
    run_agreed(world, [&] {
      if (world_rank != 0) connect(invitation);
    });
  }

  // The store's address and the job's key, which goes over MPI alone: no file, no command line and no log has it.
  std::string host() {
    detail::require_descriptors(world_size);
    detail::SocketHandle listening = detail::listen_at(own_address);
    const std::string port = std::to_string(detail::port_of(listening));
    std::string key = detail::random_bytes(detail::kKeyBytes);
    std::string invitation = detail::render_fields({own_address, port, key});
    server = std::make_unique<detail::StoreServer>(std::move(listening), std::move(key), table, world_size - 1);
    return invitation;
  }

  void connect(const std::string& invitation) {
    const auto fields = detail::try_read_fields(invitation);
    check(fields && fields->size() == 3, "rank 0 sends address, port and key of its store");
    const auto port = try_number<std::uint16_t>(fields->at(1).value());
    values = std::make_unique<detail::RemoteKeyValues>(
        detail::SocketAddress{.host = fields->at(0).value(), .port = port.value()}, fields->at(2).value());
  }

  void wait_for_all(std::string (*key_of)(int rank)) {
    detail::Patience patience(kEndPatience);
    for (int rank = 1; rank < world_size; ++rank) values->wait(key_of(rank), patience);
  }

  // The store ends with rank 0, which therefore leaves last. What is said is said again where a connection breaks.
  void close() {
    if (world_rank == 0) {
      wait_for_all(closed_key);
      values->set(kAllClosed, "");
      wait_for_all(left_key);
      return;
    }
    values->set(closed_key(world_rank), "");
    values->wait(kAllClosed, kEndPatience);
    values->set(left_key(world_rank), "");
  }

  int world_rank;
  int world_size;
  bool is_closed = false;
  std::string own_address;
  detail::StoreTable table;
  std::unique_ptr<detail::StoreServer> server;
  std::unique_ptr<detail::KeyValues> values;
};

JobStore::JobStore(Communicator& world, const std::optional<std::string>& interface)
    : state_(std::make_unique<State>(world, interface)) {}

JobStore::~JobStore() {
  if (std::uncaught_exceptions() == 0) close();
}

void JobStore::close() {
  if (std::exchange(state_->is_closed, true)) return;
  try {
    state_->close();
  } catch (const std::exception&) {
    return;  // another rank has gone: its own failure says more
  }
}

const std::string& JobStore::own_address() const noexcept { return state_->own_address; }

detail::KeyValues& JobStore::values() const noexcept { return *state_->values; }

}  // namespace collimate
