#pragma once
// XXH3-128, the one hash of Collimate: fingerprints of content and pair identities. Not cryptographic.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace collimate {

/// A 128-bit hash value. `high` is the more significant half, as in XXH3's canonical (printed) form.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  auto operator<=>(const Hash128&) const = default;

  /// 32 hexadecimal digits, equal to xxhash.xxh3_128_hexdigest of Python.
  [[nodiscard]] std::string hex() const;
};

/// Hash of one block of bytes. *Local.*
Hash128 hash_bytes(std::span<const std::byte> bytes);
Hash128 hash_text(std::string_view text);

/// Hash of content that arrives in pieces; equal to the hash of the pieces joined.
class StreamingHash {
 public:
  StreamingHash();
  ~StreamingHash();
  StreamingHash(StreamingHash&&) noexcept;
  StreamingHash& operator=(StreamingHash&&) noexcept;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text);
  [[nodiscard]] Hash128 digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace collimate
