#pragma once
// TCP sockets that never hold up a thread for longer than it has patience.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>

#include <unistd.h>

#include "collimate/base/unique_handle.hpp"

namespace collimate::detail {

struct SocketTraits {
  using Raw = int;
  static Raw null() { return -1; }
  static void close(Raw raw) noexcept { ::close(raw); }
};
using SocketHandle = UniqueHandle<SocketTraits>;

/// A numeric address and a port of it.
struct SocketAddress {
  std::string host;
  std::uint16_t port = 0;

  [[nodiscard]] std::string text() const;
};

/// How long a thread may still wait. Time in which the process is stopped (`scontrol suspend`) does not count: it waits
/// in short turns, and a turn counts no longer than it should have taken. *Local.*
class Patience {
 public:
  using Milliseconds = std::chrono::milliseconds;

  explicit Patience(Milliseconds whole) : left_(whole) {}

  [[nodiscard]] bool is_over() const noexcept { return left_ <= left_.zero(); }
  /// Rounded up.
  [[nodiscard]] Milliseconds left() const { return std::chrono::ceil<Milliseconds>(left_); }
  /// Takes away what somebody has waited with a patience of his own.
  void charge(Milliseconds waited) { left_ -= waited; }
  /// Gives what `part` gives, which waits for at most the time that it gets.
  template <class Part>
  auto take_turn(const Part& part, Milliseconds longest = Milliseconds(100)) {
    const Milliseconds turn = std::clamp(std::chrono::ceil<Milliseconds>(left_), Milliseconds(1), longest);
    const auto begin = Clock::now();
    const auto result = part(turn);
    left_ -= std::min<Clock::duration>(Clock::now() - begin, turn);
    return result;
  }
  /// Sleeps for a turn.
  void pause(Milliseconds longest);

 private:
  using Clock = std::chrono::steady_clock;

  Clock::duration left_;
};

/// *Local.* A socket that hears one address of this machine, at a port that the system chooses. Throws Error.
SocketHandle listen_at(const std::string& host);
/// *Local.*
std::uint16_t port_of(const SocketHandle& socket);
/// *Local.* A connection to `address`. Throws Error.
SocketHandle connect_to(const SocketAddress& address, Patience& patience);
/// *Local.* What a new connection needs that somebody else has opened: no read or write of it waits.
void prepare_connection(const SocketHandle& socket);
/// *Local.* The other end's address; "somebody" when it has gone.
std::string peer_of(const SocketHandle& socket);

/// *Local.* Writes all of `bytes`. Throws Error when the other end is gone, or does not take them.
void send_all(const SocketHandle& socket, const std::string& bytes, Patience& patience);
/// *Local.* Adds what comes next to `received`, at least a byte. Throws Error likewise.
void receive_some(const SocketHandle& socket, std::string& received, Patience& patience);

}  // namespace collimate::detail
