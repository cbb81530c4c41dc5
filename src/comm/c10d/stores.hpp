#pragma once
// c10d's stores of keys and values: where the ranks of a job find each other.

#include <chrono>
#include <cstdint>
#include <string>

#include <c10/util/intrusive_ptr.h>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "collimate/comm/communicator.hpp"

namespace collimate::detail {

using Store = c10::intrusive_ptr<c10d::Store>;

/// *Local.* A store for the threads of this process.
Store make_hash_store();

/// *Local.* The part of `store` whose keys begin with `prefix`.
Store with_prefix(const std::string& prefix, const Store& store);

/// *Local.* Whether `key` has a value, now or before `patience` is over.
bool wait_for_key(const Store& store, const std::string& key, std::chrono::milliseconds patience);

/// A store that lives on rank 0 and that the ranks of a job reach over TCP. When all ranks are on one machine no other
/// can connect. In a world of one it is a table in this process, without a port.
class SharedStore {
 public:
  /// *Collective.* The system chooses the port; the address goes over `world`.
  explicit SharedStore(Communicator& world);
  /// Closes, unless an exception unwinds.
  ~SharedStore();
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;

  [[nodiscard]] const Store& store() const noexcept { return store_; }
  [[nodiscard]] bool is_on_one_machine() const noexcept { return is_on_one_machine_; }
  /// *Local.* A connection of its own: a thread that waits for a key on one does not hold up another.
  [[nodiscard]] Store connect() const;
  /// *Collective.* Returns when every rank has come here, or after an hour. So no rank enters MPI_Finalize while
  /// another may still fail: Open MPI's launcher can hang when a job is aborted then.
  void close();

 private:
  void host();
  void arrive(const std::string& place);

  int world_rank_;
  int world_size_;
  bool is_on_one_machine_;
  bool is_closed_ = false;
  std::string host_;
  std::uint16_t port_ = 0;
  Store store_;
};

}  // namespace collimate::detail
