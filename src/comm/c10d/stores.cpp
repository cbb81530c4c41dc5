#include "stores.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <utility>
#include <vector>

#include <c10/util/Logging.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <unistd.h>

#include "c10d_call.hpp"
#include "collimate/base/host_name.hpp"
#include "collimate/base/unique_handle.hpp"
#include "collimate/comm/agreement.hpp"

namespace collimate::detail {

namespace {

constexpr const char* kLoopback = "127.0.0.1";
// With which ranks wait for the last one at the end of a job.
constexpr auto kPatience = std::chrono::hours(1);

struct SocketTraits {
  using Raw = int;
  static Raw null() { return -1; }
  static void close(Raw raw) noexcept { ::close(raw); }
};
using SocketHandle = UniqueHandle<SocketTraits>;

// A socket that hears this machine alone; a store that opens its own would hear every network of the machine.
SocketHandle listen_on_loopback() {
  SocketHandle socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto* const raw = reinterpret_cast<const sockaddr*>(&address);
  if (!socket || ::bind(socket.get(), raw, sizeof(address)) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
    throw Error(fmt::format("no port of {} can be listened on: {}", kLoopback, std::strerror(errno)));
  }
  return socket;
}

std::uint16_t port_of(const SocketHandle& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof(address);
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0, "a socket has an address");
  return ntohs(address.sin_port);
}

// The key that says that every rank has arrived at a place.
std::string all_at(const std::string& place) { return "all_" + place; }

// It warns of each connection that another rank's end breaks, with a page of stack. The end itself is told elsewhere.
void keep_c10d_quiet() {
  constexpr int kErrors = 2;  // of the levels in c10/util/Logging.h
  FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, kErrors);
}

bool are_equal(const std::vector<std::string>& texts) {
  return std::ranges::all_of(texts, [&](const std::string& text) { return text == texts.front(); });
}

}  // namespace

Store make_hash_store() { return c10::make_intrusive<c10d::HashStore>(); }

Store with_prefix(const std::string& prefix, const Store& store) {
  return c10::make_intrusive<c10d::PrefixStore>(prefix, store);
}

bool wait_for_key(const Store& store, const std::string& key, std::chrono::milliseconds patience) {
  try {
    store->wait({key}, patience);
    return true;
  } catch (const c10::DistStoreError&) {  // c10d's word for a time-out
    return false;
  }
}

SharedStore::SharedStore(Communicator& world)
    : world_rank_(world.rank()),
      world_size_(world.size()),
      is_on_one_machine_(are_equal(world.all_gather_bytes(host_name()))) {
  if (world_size_ == 1) {
    store_ = make_hash_store();
    return;
  }
  keep_c10d_quiet();
  run_agreed(world, [&] {
    if (world_rank_ == 0) host();
  });
  std::string port = std::to_string(port_);
  world.broadcast_bytes(host_, 0);
  world.broadcast_bytes(port, 0);
  port_ = static_cast<std::uint16_t>(std::stoi(port));
  run_agreed(world, [&] {
    if (world_rank_ != 0) store_ = connect();
  });
}

SharedStore::~SharedStore() {
  if (std::uncaught_exceptions() == 0) close();
}

void SharedStore::host() {
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.waitWorkers = false;
  options.port = 0;
  host_ = is_on_one_machine_ ? kLoopback : host_name();
  SocketHandle socket;
  if (is_on_one_machine_) {
    socket = listen_on_loopback();
    options.port = port_of(socket);
    options.masterListenFd = socket.get();
  }
  const auto store =
      call_c10d("opening a store", host_, [&] { return c10::make_intrusive<c10d::TCPStore>(host_, options); });
  (void)socket.release();  // the store has taken it over
  port_ = store->getPort();
  store_ = store;
}

Store SharedStore::connect() const {
  if (world_size_ == 1) return store_;
  c10d::TCPStoreOptions options;
  options.port = port_;
  options.waitWorkers = false;
  return call_c10d("connecting to a store", fmt::format("{}:{}", host_, port_),
                   [&] { return c10::make_intrusive<c10d::TCPStore>(host_, options); });
}

void SharedStore::close() {
  if (std::exchange(is_closed_, true)) return;
  try {
    arrive("closed");
    wait_for_key(store_, all_at("closed"), kPatience);
    // The store ends with rank 0, which therefore leaves last.
    arrive("left");
    if (world_rank_ == 0) wait_for_key(store_, all_at("left"), kPatience);
  } catch (const std::exception&) {
    store_.reset();  // another rank has gone: its own failure says more
  }
}

void SharedStore::arrive(const std::string& place) {
  if (store_->add(place, 1) == world_size_) store_->set(all_at(place), "");
}

}  // namespace collimate::detail
