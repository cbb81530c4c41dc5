#include "collimate/base/random.hpp"

#include <cmath>
#include <numbers>

#include "collimate/base/hash.hpp"

namespace collimate {

namespace {

std::uint32_t low32(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
std::uint32_t high32(std::uint64_t value) { return static_cast<std::uint32_t>(value >> 32U); }

}  // namespace

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9;
  constexpr std::uint32_t kWeyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = kMultiplier0 * counter[0];
    const std::uint64_t product1 = kMultiplier1 * counter[2];
    counter = {high32(product1) ^ counter[1] ^ key[0], low32(product1), high32(product0) ^ counter[3] ^ key[1],
               low32(product0)};
    key = {key[0] + kWeyl0, key[1] + kWeyl1};
  }
  return counter;
}

RandomStream::RandomStream(std::uint64_t seed, std::string_view purpose, std::uint64_t index)
    : key_{low32(seed), high32(seed)} {
  StreamingHash hash;
  hash.update(purpose);
  hash.update(std::as_bytes(std::span(&index, 1)));
  const std::uint64_t folded = hash.digest().low;
  stream_ = {low32(folded), high32(folded)};
}

std::uint64_t RandomStream::bits(std::uint64_t n) const {
  const auto block = philox({low32(n), high32(n), stream_[0], stream_[1]}, key_);
  return (static_cast<std::uint64_t>(block[1]) << 32U) | block[0];
}

std::uint64_t RandomStream::below(std::uint64_t n, std::uint64_t bound) const {
  __extension__ using Wide = unsigned __int128;
  return static_cast<std::uint64_t>((static_cast<Wide>(bits(n)) * bound) >> 64U);
}

double RandomStream::normal(std::uint64_t n) const {
  const auto block = philox({low32(n), high32(n), stream_[0], stream_[1]}, key_);
  const auto unit = [](std::uint32_t high, std::uint32_t low) {
    const std::uint64_t mantissa = ((static_cast<std::uint64_t>(high) << 32U) | low) >> 11U;
    return (static_cast<double>(mantissa) + 0.5) * 0x1.0p-53;
  };
  const double radius = std::sqrt(-2.0 * std::log(unit(block[1], block[0])));
  return radius * std::cos(2.0 * std::numbers::pi * unit(block[3], block[2]));
}

}  // namespace collimate
