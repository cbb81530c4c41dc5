#pragma once
// One owner per resource: a move-only wrapper over a raw C handle.

#include <utility>

namespace collimate {

/// Owns one raw handle and closes it once. `Traits` has `using Raw`, `static Raw null()` and `static void close(Raw)
/// noexcept`.
template <class Traits>
class UniqueHandle {
 public:
  using Raw = Traits::Raw;

  UniqueHandle() = default;
  explicit UniqueHandle(Raw raw) : raw_(raw) {}
  UniqueHandle(UniqueHandle&& other) noexcept : raw_(std::exchange(other.raw_, Traits::null())) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    if (this != &other) reset(std::exchange(other.raw_, Traits::null()));
    return *this;
  }
  UniqueHandle(const UniqueHandle&) = delete;
  UniqueHandle& operator=(const UniqueHandle&) = delete;
  ~UniqueHandle() { reset(); }

  [[nodiscard]] Raw get() const noexcept { return raw_; }
  [[nodiscard]] explicit operator bool() const noexcept { return raw_ != Traits::null(); }

  /// Gives up ownership without closing, for a close whose result matters.
  [[nodiscard]] Raw release() noexcept { return std::exchange(raw_, Traits::null()); }

  void reset(Raw raw = Traits::null()) noexcept {
    if (raw_ != Traits::null()) Traits::close(raw_);
    raw_ = raw;
  }

 private:
  Raw raw_ = Traits::null();
};

}  // namespace collimate
