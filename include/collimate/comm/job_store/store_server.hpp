#pragma once
// Rank 0's end of the job's store: answers those who show that they know the job's key, and nobody else.

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "collimate/comm/job_store/sealed_stream.hpp"
#include "collimate/comm/job_store/sockets.hpp"
#include "collimate/comm/job_store/store_table.hpp"

namespace collimate::detail {

/// Connections beyond those of the job's own ranks that may be open at a time.
inline constexpr int kMostStrangers = 64;

/// One thread serves all connections; none of them can hold it up. Who has not shown the key is closed after a while,
/// or at once for a wrong word, or when there are too many. *Local.*
class StoreServer {
 public:
  /// `table` must outlive it. `num_others`: the ranks that will connect, each once.
  StoreServer(SocketHandle listening, std::string key, StoreTable& table, int num_others);
  /// Closes all connections.
  ~StoreServer();
  StoreServer(const StoreServer&) = delete;
  StoreServer& operator=(const StoreServer&) = delete;

 private:
  struct Connection;
  using Connections = std::vector<std::unique_ptr<Connection>>;

  void run();
  /// Sleeps until something comes, then serves what has come. False: the server ends.
  bool turn();
  void accept_some();
  void refuse_late();
  void refuse_oldest_stranger();
  void note_stranger(const Connection& connection);
  /// Whether it stays open.
  bool serve(Connection& connection, short events);
  void answer_all(Connection& connection);

  SocketHandle listening_;
  SocketHandle ends_;  ///< can be read from when the server is to end
  std::string key_;
  StoreTable& table_;
  std::size_t most_strangers_;
  bool has_noted_stranger_ = false;
  Connections connections_;
  std::thread thread_;  ///< last: it uses the others
};

}  // namespace collimate::detail
