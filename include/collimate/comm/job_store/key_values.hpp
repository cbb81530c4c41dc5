#pragma once
// The job's keys and values as one rank reaches them: in its own memory on rank 0, over TCP on the others.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "collimate/comm/job_store/fields.hpp"
#include "collimate/comm/job_store/sealed_stream.hpp"
#include "collimate/comm/job_store/sockets.hpp"
#include "collimate/comm/job_store/store_table.hpp"

namespace collimate::detail {

/// Used by any thread; a call of one never waits for longer than a round trip of another. *Local*, all of it. Every
/// call throws Error when rank 0 cannot be reached, or does not answer within `patience`.
class KeyValues {
 public:
  using Milliseconds = std::chrono::milliseconds;
  static constexpr Milliseconds kPatience = std::chrono::minutes(5);

  KeyValues() = default;
  virtual ~KeyValues() = default;
  KeyValues(const KeyValues&) = delete;
  KeyValues& operator=(const KeyValues&) = delete;

  void set(const std::string& key, const std::string& value, Milliseconds patience = kPatience);
  /// The first value of a key stays.
  void put_first(const std::string& key, const std::string& value);
  /// As c10d::Store::compareSet.
  std::string compare_set(const std::string& key, const std::string& expected, const std::string& desired,
                          Milliseconds patience = kPatience);
  std::optional<std::string> find(const std::string& key, Milliseconds patience = kPatience);
  /// One for each key.
  Fields find_all(const std::vector<std::string>& keys, Milliseconds patience = kPatience);
  /// Adds to the number that is the key's value, 0 at first; gives the sum.
  std::int64_t add(const std::string& key, std::int64_t amount);
  /// Whether there was such a key.
  bool remove(const std::string& key);
  std::int64_t count();
  /// Whether `key` has a value, now or before `patience` is over. Takes from it what it waits.
  bool wait(const std::string& key, Patience& patience) { return wait_for(key, patience); }
  bool wait(const std::string& key, Milliseconds patience);

 protected:
  Fields require_answer(const StoreRequest& request, std::size_t num_fields, Patience& patience);

 private:
  virtual bool wait_for(const std::string& key, Patience& patience) = 0;
  virtual std::optional<Fields> answer(const StoreRequest& request, Patience& patience) = 0;
  Fields require_answer(const StoreRequest& request, std::size_t num_fields, Milliseconds patience);
};

/// Those of a table in this process, which must outlive it.
class LocalKeyValues final : public KeyValues {
 public:
  explicit LocalKeyValues(StoreTable& table) : table_(table) {}

 private:
  bool wait_for(const std::string& key, Patience& patience) override;
  std::optional<Fields> answer(const StoreRequest& request, Patience& /*patience*/) override {
    return table_.apply(request);
  }

  StoreTable& table_;
};

/// Those of rank 0, over one connection that all threads share. One that breaks is made anew.
class RemoteKeyValues final : public KeyValues {
 public:
  /// Connects. Throws Error when there is no store of this key.
  RemoteKeyValues(SocketAddress address, std::string key, Milliseconds patience = kPatience);

 private:
  bool wait_for(const std::string& key, Patience& patience) override;
  std::optional<Fields> answer(const StoreRequest& request, Patience& patience) override;
  std::string exchange(const std::string& message, bool may_repeat, Patience& patience);
  std::string exchange_once(const std::string& message, Patience& patience);
  void connect(Patience& patience);

  SocketAddress address_;
  std::string key_;
  std::timed_mutex mutex_;
  SocketHandle socket_;
  std::optional<SealedStream> stream_;
  std::string received_;
};

}  // namespace collimate::detail
