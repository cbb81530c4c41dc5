#include "collimate/comm/job_store/store_server.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "collimate/base/error.hpp"
#include "collimate/base/log.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"

namespace collimate::detail {

namespace {

using ServerClock = std::chrono::steady_clock;

// In which a connection must show that its rank knows the key.
constexpr auto kStrangerPatience = std::chrono::seconds(10);
constexpr int kLookMilliseconds = 1000;
// Until the next try where memory or descriptors have run out.
constexpr auto kShortage = std::chrono::milliseconds(10);
// Of new connections between two looks at those that there are: who opens ever more keeps nobody waiting.
constexpr int kMostAccepted = 64;
// Of requests of one connection whose answers are not taken.
constexpr std::size_t kMostUnsentBytes = 2 * kMostMessageBytes;

void send_some(const SocketHandle& socket, std::string& bytes) {
  const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (count > 0) bytes.erase(0, static_cast<std::size_t>(count));
  if (count < 0 && errno != EAGAIN && errno != EINTR) throw Error("the connection has broken");
}

}  // namespace

struct StoreServer::Connection {
  SocketHandle socket;
  std::string peer = peer_of(socket);
  std::string nonce = random_bytes(kNonceBytes);
  ServerClock::time_point since = ServerClock::now();
  std::optional<SealedStream> stream = {};  // once the other end's nonce is there
  std::string received = {};
  std::string unsent = nonce;

  [[nodiscard]] bool is_known() const { return stream && stream->is_known(); }
};

StoreServer::StoreServer(SocketHandle listening, std::string key, StoreTable& table, int num_others)
    : listening_(std::move(listening)),
      ends_(::eventfd(0, EFD_CLOEXEC)),
      key_(std::move(key)),
      table_(table),
      most_strangers_(static_cast<std::size_t>(num_others + kMostStrangers)) {
  if (!ends_) throw Error("no descriptor is left for the job's store");
  thread_ = std::thread([this] { run(); });
}

StoreServer::~StoreServer() {
  const std::uint64_t one = 1;
  check(::write(ends_.get(), &one, sizeof(one)) == sizeof(one), "an event can be told");
  thread_.join();
}

void StoreServer::run() {
  bool goes_on = true;
  while (goes_on) {
    try {
      goes_on = turn();
    } catch (const std::exception&) {  // no memory for a new connection: the others are served
      std::this_thread::sleep_for(kShortage);
    }
  }
}

bool StoreServer::turn() {
  std::vector<pollfd> polled{{.fd = ends_.get(), .events = POLLIN, .revents = 0},
                             {.fd = listening_.get(), .events = POLLIN, .revents = 0}};
  for (const auto& connection : connections_) {
    const int events = connection->unsent.empty() ? POLLIN : POLLIN | POLLOUT;
    polled.push_back({.fd = connection->socket.get(), .events = static_cast<short>(events), .revents = 0});
  }
  ::poll(polled.data(), polled.size(), kLookMilliseconds);
  if (polled[0].revents != 0) return false;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (polled[i + 2].revents != 0 && !serve(*connections_[i], polled[i + 2].revents)) connections_[i].reset();
  }
  std::erase(connections_, nullptr);
  refuse_late();
  if (polled[1].revents != 0) accept_some();
  return true;
}

void StoreServer::accept_some() {
  for (int accepted = 0; accepted < kMostAccepted; ++accepted) {
    SocketHandle socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!socket && (errno == EMFILE || errno == ENFILE)) {
      refuse_oldest_stranger();
      std::this_thread::sleep_for(kShortage);
    }
    if (!socket) return;
    prepare_connection(socket);
    connections_.push_back(std::make_unique<Connection>(Connection{.socket = std::move(socket)}));
    const auto num_strangers = static_cast<std::size_t>(
        std::ranges::count_if(connections_, [](const auto& connection) { return !connection->is_known(); }));
    if (num_strangers > most_strangers_) refuse_oldest_stranger();
  }
}

void StoreServer::refuse_late() {
  const auto now = ServerClock::now();
  std::erase_if(connections_, [&](const auto& connection) {
    const bool is_late = !connection->is_known() && now - connection->since > kStrangerPatience;
    if (is_late) note_stranger(*connection);
    return is_late;
  });
}

// They are in the order in which they came.
void StoreServer::refuse_oldest_stranger() {
  const auto oldest = std::ranges::find_if(connections_, [](const auto& one) { return !one->is_known(); });
  if (oldest == connections_.end()) return;
  note_stranger(**oldest);
  connections_.erase(oldest);
}

void StoreServer::note_stranger(const Connection& connection) {
  if (std::exchange(has_noted_stranger_, true)) return;
  Log().warn(
      "a connection from {} to the job's store was closed: it did not show that it belongs to the job. Further ones "
      "are not told of",
      connection.peer);
}

bool StoreServer::serve(Connection& connection, short events) {
  try {
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
      Patience none(std::chrono::milliseconds(1));
      receive_some(connection.socket, connection.received, none);
      answer_all(connection);
    }
    if (!connection.unsent.empty()) send_some(connection.socket, connection.unsent);
    return connection.unsent.size() <= kMostUnsentBytes;
  } catch (const std::exception&) {  // whatever it is, it is the other end's: this thread serves the others
    if (!connection.is_known()) note_stranger(connection);
    return false;
  }
}

void StoreServer::answer_all(Connection& connection) {
  if (!connection.stream) {
    if (connection.received.size() < kNonceBytes) return;
    connection.stream.emplace(key_, connection.nonce, connection.received.substr(0, kNonceBytes), StreamEnd::kStore);
    connection.received.erase(0, kNonceBytes);
  }
  while (const auto message = connection.stream->open(connection.received)) {
    const auto request = try_read_request(*message);
    const auto fields = request ? table_.apply(*request) : std::nullopt;
    std::string answer;
    if (fields) answer.append("a").append(render_fields(*fields));  // a first byte says that there is one
    connection.unsent += connection.stream->seal(answer);
  }
}

}  // namespace collimate::detail
