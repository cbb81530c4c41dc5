#include "collimate/comm/job_store/key_values.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/number_text.hpp"
#include "collimate/comm/job_store/keyed_mac.hpp"

namespace collimate::detail {

namespace {

using std::chrono::milliseconds;

// Between two questions of one who waits for a key.
constexpr milliseconds kShortestQuestion{1};
constexpr milliseconds kLongestQuestion{100};
// Of one who waits on rank 0, where a value wakes him.
constexpr milliseconds kLocalTurn{1000};
// That the store is given to answer one question, however short one waits for a key.
constexpr milliseconds kShortestAnswer{1000};
// Until a rank whose connection the store has closed before it could show its key tries again.
constexpr milliseconds kConnectPause{20};

std::int64_t number_of(const Fields& fields) {
  const auto number = fields[0] ? try_number<std::int64_t>(*fields[0]) : std::nullopt;
  if (!number) throw Error("the job's store has given no number");
  return *number;
}

}  // namespace

Fields KeyValues::require_answer(const StoreRequest& request, std::size_t num_fields, Milliseconds patience) {
  Patience own(patience);
  return require_answer(request, num_fields, own);
}

Fields KeyValues::require_answer(const StoreRequest& request, std::size_t num_fields, Patience& patience) {
  std::optional<Fields> fields = answer(request, patience);
  if (!fields || fields->size() != num_fields) {
    throw Error(fmt::format("the job's store cannot do what is asked of key '{}'",
                            request.fields.empty() ? "" : request.fields.front().value_or("")));
  }
  return std::move(*fields);
}

void KeyValues::set(const std::string& key, const std::string& value, Milliseconds patience) {
  require_answer({.operation = StoreOperation::kSet, .fields = {key, value}}, 0, patience);
}

void KeyValues::put_first(const std::string& key, const std::string& value) {
  require_answer({.operation = StoreOperation::kPutFirst, .fields = {key, value}}, 0, kPatience);
}

std::string KeyValues::compare_set(const std::string& key, const std::string& expected, const std::string& desired,
                                   Milliseconds patience) {
  const StoreRequest request{.operation = StoreOperation::kCompareSet, .fields = {key, expected, desired}};
  return require_answer(request, 1, patience)[0].value_or("");
}

std::optional<std::string> KeyValues::find(const std::string& key, Milliseconds patience) {
  return find_all({key}, patience)[0];
}

Fields KeyValues::find_all(const std::vector<std::string>& keys, Milliseconds patience) {
  return require_answer({.operation = StoreOperation::kFind, .fields = {keys.begin(), keys.end()}}, keys.size(),
                        patience);
}

std::int64_t KeyValues::add(const std::string& key, std::int64_t amount) {
  const StoreRequest request{.operation = StoreOperation::kAdd, .fields = {key, std::to_string(amount)}};
  return number_of(require_answer(request, 1, kPatience));
}

bool KeyValues::remove(const std::string& key) {
  return number_of(require_answer({.operation = StoreOperation::kRemove, .fields = {key}}, 1, kPatience)) > 0;
}

std::int64_t KeyValues::count() {
  return number_of(require_answer({.operation = StoreOperation::kCount, .fields = {}}, 1, kPatience));
}

bool KeyValues::wait(const std::string& key, Milliseconds patience) {
  Patience own(patience);
  return wait_for(key, own);
}

bool LocalKeyValues::wait_for(const std::string& key, Patience& patience) {
  const auto look = [&](milliseconds turn) { return table_.wait(key, turn); };
  while (!patience.take_turn(look, kLocalTurn)) {
    if (patience.is_over()) return false;
  }
  return true;
}

RemoteKeyValues::RemoteKeyValues(SocketAddress address, std::string key, Milliseconds patience)
    : address_(std::move(address)), key_(std::move(key)) {
  Patience own(patience);
  connect(own);
}

bool RemoteKeyValues::wait_for(const std::string& key, Patience& patience) {
  const StoreRequest request{.operation = StoreOperation::kFind, .fields = {key}};
  for (milliseconds pause = kShortestQuestion;; pause = std::min(2 * pause, kLongestQuestion)) {
    Patience asking(std::clamp(patience.left(), kShortestAnswer, kPatience));
    const milliseconds before = asking.left();
    const bool is_there = require_answer(request, 1, asking)[0].has_value();
    if (is_there) return true;
    patience.charge(before - asking.left());
    if (patience.is_over()) return false;
    patience.pause(pause);
  }
}

std::optional<Fields> RemoteKeyValues::answer(const StoreRequest& request, Patience& patience) {
  std::unique_lock lock(mutex_, std::defer_lock);
  while (!patience.take_turn([&](milliseconds turn) { return lock.try_lock_for(turn); })) {
    if (patience.is_over()) throw Error("the job's store does not answer");
  }
  // What is sent twice is done twice.
  const bool may_repeat = request.operation != StoreOperation::kAdd;
  const std::string reply = exchange(render_request(request), may_repeat, patience);
  if (reply.empty()) return std::nullopt;
  return try_read_fields(std::string_view(reply).substr(1));
}

std::string RemoteKeyValues::exchange(const std::string& message, bool may_repeat, Patience& patience) {
  const bool is_fresh = !socket_;
  if (is_fresh) connect(patience);
  try {
    return exchange_once(message, patience);
  } catch (const Error&) {
    if (is_fresh || !may_repeat || patience.is_over()) throw;
  }
  connect(patience);
  return exchange_once(message, patience);
}

// A connection on which something has gone wrong is of no more use: the next answer may be to an older question.
std::string RemoteKeyValues::exchange_once(const std::string& message, Patience& patience) {
  try {
    send_all(socket_, stream_->seal(message), patience);
    while (true) {
      if (auto reply = stream_->open(received_)) return std::move(*reply);
      receive_some(socket_, received_, patience);
    }
  } catch (...) {
    socket_.reset();
    throw;
  }
}

// The store may close a connection whose rank it does not know yet, in favour of others: that rank comes again.
void RemoteKeyValues::connect(Patience& patience) {
  const std::string question = render_request({.operation = StoreOperation::kCount, .fields = {}});
  while (true) {
    socket_ = connect_to(address_, patience);
    received_.clear();
    try {
      while (received_.size() < kNonceBytes) receive_some(socket_, received_, patience);
      const std::string own_nonce = random_bytes(kNonceBytes);
      stream_.emplace(key_, received_.substr(0, kNonceBytes), own_nonce, StreamEnd::kRank);
      received_.erase(0, kNonceBytes);
      send_all(socket_, own_nonce, patience);
      exchange_once(question, patience);
      return;
    } catch (const Error&) {
      socket_.reset();
      if (patience.is_over()) throw;
    } catch (...) {
      socket_.reset();
      throw;
    }
    patience.pause(kConnectPause);
  }
}

}  // namespace collimate::detail
