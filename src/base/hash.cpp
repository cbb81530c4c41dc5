#include "collimate/base/hash.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {
Hash128 from_xxh(XXH128_hash_t value) { return {.high = value.high64, .low = value.low64}; }
}  // namespace

std::string Hash128::hex() const { return fmt::format("{:016x}{:016x}", high, low); }

Hash128 hash_bytes(std::span<const std::byte> bytes) { return from_xxh(XXH3_128bits(bytes.data(), bytes.size())); }

Hash128 hash_text(std::string_view text) { return from_xxh(XXH3_128bits(text.data(), text.size())); }

struct StreamingHash::State {
  XXH3_state_t* raw = XXH3_createState();
  State() {
    check(raw != nullptr, "XXH3 gives a state");
    XXH3_128bits_reset(raw);
  }
  ~State() { XXH3_freeState(raw); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
};

StreamingHash::StreamingHash() : state_(std::make_unique<State>()) {}
StreamingHash::~StreamingHash() = default;
StreamingHash::StreamingHash(StreamingHash&&) noexcept = default;
StreamingHash& StreamingHash::operator=(StreamingHash&&) noexcept = default;

void StreamingHash::update(std::span<const std::byte> bytes) {
  XXH3_128bits_update(state_->raw, bytes.data(), bytes.size());
}

void StreamingHash::update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }

Hash128 StreamingHash::digest() const { return from_xxh(XXH3_128bits_digest(state_->raw)); }

}  // namespace collimate
