#pragma once
// Keeps messages going while their ranks compute.

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "collimate/base/unique_handle.hpp"

namespace collimate::detail {

class MpiProgress;

struct MpiHoldTraits {
  using Raw = MpiProgress*;
  static Raw null() { return nullptr; }
  static void close(Raw raw) noexcept;
};
/// Messages that count as under way.
using MpiHold = UniqueHandle<MpiHoldTraits>;

/// Open MPI moves a large message only while both ends are inside a call of it: a message that one end waits for would
/// lie until the other has computed its next part. While messages are under way a thread looks in now and then, which
/// costs next to nothing; the first message starts it. Must end before MPI does.
class MpiProgress {
 public:
  MpiProgress() = default;
  MpiProgress(const MpiProgress&) = delete;
  MpiProgress& operator=(const MpiProgress&) = delete;
  ~MpiProgress() = default;

  /// *Local.* Counts messages as under way until the handle, which must not outlive this, is gone.
  [[nodiscard]] MpiHold hold();

 private:
  friend MpiHoldTraits;
  void run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  int num_held_ = 0;
  bool has_news_ = false;  ///< messages were added since the thread last looked
  std::jthread thread_;    ///< last: ends before what it uses
};

}  // namespace collimate::detail
