#include "stores.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <fmt/format.h>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

using Bytes = std::vector<std::uint8_t>;

std::string text_of(const Bytes& bytes) { return {bytes.begin(), bytes.end()}; }
Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

// What a backend does with a store when it starts, and with no other. Used by any thread.
class C10dJobStore final : public c10d::Store {
 public:
  explicit C10dJobStore(KeyValues& values) : values_(values) {}

  c10::intrusive_ptr<c10d::Store> clone() override { return c10::make_intrusive<C10dJobStore>(values_); }

  void set(const std::string& key, const Bytes& value) override { values_.set(key, text_of(value)); }
  Bytes compareSet(const std::string& key, const Bytes& expected, const Bytes& desired) override {
    return bytes_of(values_.compare_set(key, text_of(expected), text_of(desired)));
  }
  Bytes get(const std::string& key) override {
    wait({key});
    return bytes_of(values_.find(key).value_or(""));
  }
  std::int64_t add(const std::string& key, std::int64_t value) override { return values_.add(key, value); }
  bool deleteKey(const std::string& key) override { return values_.remove(key); }
  bool check(const std::vector<std::string>& keys) override {
    return std::ranges::all_of(values_.find_all(keys), [](const auto& value) { return value.has_value(); });
  }
  std::int64_t getNumKeys() override { return values_.count(); }
  void wait(const std::vector<std::string>& keys) override { wait(keys, timeout_); }
  void wait(const std::vector<std::string>& keys, const std::chrono::milliseconds& timeout) override {
    for (const std::string& key : keys) {
      if (values_.wait(key, timeout == kNoTimeout ? kDefaultTimeout : timeout)) continue;
      C10_THROW_ERROR(DistStoreError, fmt::format("no rank has set '{}' in time", key));  // c10d's word for a time-out
    }
  }

 private:
  KeyValues& values_;
};

// It warns, with a page of stack, of each connection that another rank's end breaks. The end itself is told elsewhere.
void keep_c10d_quiet() {
  constexpr int kErrors = 2;  // of the levels in c10/util/Logging.h
  FLAGS_caffe2_log_level = std::max(FLAGS_caffe2_log_level, kErrors);
}

}  // namespace

Store make_hash_store() { return c10::make_intrusive<c10d::HashStore>(); }

Store make_job_store(KeyValues& values) {
  keep_c10d_quiet();
  return c10::make_intrusive<C10dJobStore>(values);
}

Store with_prefix(const std::string& prefix, const Store& store) {
  return c10::make_intrusive<c10d::PrefixStore>(prefix, store);
}

}  // namespace collimate::detail
