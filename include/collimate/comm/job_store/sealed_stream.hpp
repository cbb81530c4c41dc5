#pragma once
// Messages between a rank and the job's store, of which each shows that its sender knows the job's key, that it was
// sent on this connection, and as which message of it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace collimate::detail {

/// What each end draws for one connection and sends first.
inline constexpr std::size_t kNonceBytes = 16;
/// The first message of a connection may not be longer: who sends it is not yet known.
inline constexpr std::size_t kMostFirstBytes = std::size_t{64} << 10U;
inline constexpr std::size_t kMostMessageBytes = std::size_t{64} << 20U;

enum class StreamEnd : char { kRank = 'r', kStore = 's' };

/// One end of a connection. A message is its length (4 bytes), its tag and its bytes. Bytes are not secret. Pure.
class SealedStream {
 public:
  /// `key` is the job's; the nonces are those of both ends.
  SealedStream(const std::string& key, const std::string& store_nonce, const std::string& rank_nonce, StreamEnd own);

  /// The next message to the other end.
  [[nodiscard]] std::string seal(std::string_view message);
  /// Takes the next message of the other end off the front of `received`; nothing while it is not there as a whole.
  /// Throws Error when it is not of one who knows the key, or is too long.
  [[nodiscard]] std::optional<std::string> open(std::string& received);
  /// Whether the other end has shown that it knows the key.
  [[nodiscard]] bool is_known() const noexcept { return num_opened_ > 0; }

 private:
  [[nodiscard]] std::string tag(StreamEnd sender, std::uint64_t number, std::string_view message) const;

  std::string key_;  ///< of this connection
  StreamEnd own_;
  std::uint64_t num_sealed_ = 0;
  std::uint64_t num_opened_ = 0;
};

}  // namespace collimate::detail
