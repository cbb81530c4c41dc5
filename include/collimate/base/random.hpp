#pragma once
// Counter-based random streams: the n-th value of a stream is a pure function of (seed, stream, n), so that any rank
// can make any part of it and a resumed run needs no saved generator state.

#include <array>
#include <cstdint>
#include <string_view>

namespace collimate {

/// Philox4x32-10 of one counter block (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

/// Random values of one named purpose.
class RandomStream {
 public:
  /// `purpose` keeps streams apart that share a seed, for example "sampler" or a parameter's name; `index` those of one
  /// purpose, for example the epoch.
  RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index = 0);

  /// The n-th 64-bit value of the stream.
  [[nodiscard]] std::uint64_t bits(std::uint64_t n) const;
  /// The n-th value, uniform in [0, bound), without modulo bias beyond 2^-64 (Lemire's multiply-shift).
  [[nodiscard]] std::uint64_t below(std::uint64_t n, std::uint64_t bound) const;
  /// The n-th value of the standard normal distribution (Box-Muller).
  [[nodiscard]] double normal(std::uint64_t n) const;

 private:
  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 2> stream_{};
};

}  // namespace collimate
