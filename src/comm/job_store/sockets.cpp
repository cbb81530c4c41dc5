#include "collimate/comm/job_store/sockets.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

using std::chrono::milliseconds;

using FoundAddress = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

FoundAddress numeric_address(const SocketAddress& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int code = ::getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (code != 0) throw Error(fmt::format("{} is no address: {}", address.host, ::gai_strerror(code)));
  return {found, &::freeaddrinfo};
}

SocketHandle socket_for(const addrinfo& address) {
  return SocketHandle(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Whether the socket is ready before the patience is over.
bool wait_until_ready(const SocketHandle& socket, short events, Patience& patience) {
  while (!patience.is_over()) {
    pollfd polled{.fd = socket.get(), .events = events, .revents = 0};
    const auto poll = [&](milliseconds turn) { return ::poll(&polled, 1, static_cast<int>(turn.count())); };
    if (patience.take_turn(poll) > 0) return true;
  }
  return false;
}

bool must_wait(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

int error_of(const SocketHandle& socket) {
  int error = 0;
  socklen_t length = sizeof(error);
  return ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

}  // namespace

std::string SocketAddress::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

void Patience::pause(Milliseconds longest) {
  take_turn(
      [](Milliseconds turn) {
        std::this_thread::sleep_for(turn);
        return true;
      },
      longest);
}

SocketHandle listen_at(const std::string& host) {
  const FoundAddress address = numeric_address({.host = host});
  SocketHandle socket = socket_for(*address);
  if (!socket || ::bind(socket.get(), address->ai_addr, address->ai_addrlen) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    throw Error(fmt::format("no port of {} can be listened on: {}", host, std::strerror(errno)));
  }
  return socket;
}

std::uint16_t port_of(const SocketHandle& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0, "a socket has an address");
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

SocketHandle connect_to(const SocketAddress& address, Patience& patience) {
  const FoundAddress found = numeric_address(address);
  SocketHandle socket = socket_for(*found);
  if (!socket) throw Error(fmt::format("no connection to {}: {}", address.text(), std::strerror(errno)));
  int error = ::connect(socket.get(), found->ai_addr, found->ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    error = wait_until_ready(socket, POLLOUT, patience) ? error_of(socket) : ETIMEDOUT;
  }
  if (error != 0) throw Error(fmt::format("no connection to {}: {}", address.text(), std::strerror(error)));
  prepare_connection(socket);
  return socket;
}

void prepare_connection(const SocketHandle& socket) {
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(socket.get(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
}

std::string peer_of(const SocketHandle& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  auto* const raw = reinterpret_cast<sockaddr*>(&address);
  std::array<char, NI_MAXHOST> host{};
  if (::getpeername(socket.get(), raw, &length) != 0 ||
      ::getnameinfo(raw, length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return "somebody";
  }
  return host.data();
}

void send_all(const SocketHandle& socket, const std::string& bytes, Patience& patience) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(socket.get(), bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count > 0) {
      sent += static_cast<std::size_t>(count);
    } else if (!must_wait(errno)) {
      throw Error(fmt::format("the connection has broken: {}", std::strerror(errno)));
    } else if (!wait_until_ready(socket, POLLOUT, patience)) {
      throw Error("the other end takes nothing");
    }
  }
}

void receive_some(const SocketHandle& socket, std::string& received, Patience& patience) {
  std::array<char, std::size_t{64} << 10U> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): is written first
  while (true) {
    const ssize_t count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (count > 0) {
      received.append(buffer.data(), static_cast<std::size_t>(count));
      return;
    }
    if (count == 0) throw Error("the other end has closed the connection");
    if (!must_wait(errno)) throw Error(fmt::format("the connection has broken: {}", std::strerror(errno)));
    if (!wait_until_ready(socket, POLLIN, patience)) throw Error("the other end does not answer");
  }
}

}  // namespace collimate::detail
