#include "fuzz/engine/coverage.hpp"

#include <array>
#include <bit>
#include <cstdint>

namespace collimate::fuzz {

namespace {

constexpr std::size_t kNumPlaces = 1U << 16U;

// The hook is called by all code, and so has no owner that could hand it this.
constinit std::array<std::uint8_t, kNumPlaces> counts{};  // by step from one basic block to the next
constinit std::array<std::uint8_t, kNumPlaces> known{};   // bit n: was reached 2^n times and more
constinit std::uintptr_t last_place = 0;

}  // namespace

void begin_coverage() {
  counts.fill(0);
  last_place = 0;
}

bool reached_something_new() {
  bool is_new = false;
  for (std::size_t i = 0; i < kNumPlaces; ++i) {
    if (counts[i] == 0) continue;
    const auto bit = static_cast<std::uint8_t>(1U << (std::bit_width(counts[i]) - 1U));
    is_new = is_new || (known[i] & bit) == 0;
    known[i] |= bit;
  }
  return is_new;
}

/// Where the caller is, relative to code of the same binary, whose place in memory changes from run to run.
__attribute__((no_sanitize("address", "undefined"))) static void count_place(std::uintptr_t address) {
  const std::uintptr_t place =
      (address - reinterpret_cast<std::uintptr_t>(&begin_coverage)) * 0x9e3779b97f4a7c15U >> 48U;
  std::uint8_t& count = counts[(place ^ last_place) % kNumPlaces];
  if (count < UINT8_MAX) ++count;
  last_place = place >> 1U;
}

}  // namespace collimate::fuzz

extern "C" __attribute__((no_sanitize("address", "undefined"), visibility("default"))) void __sanitizer_cov_trace_pc() {
  collimate::fuzz::count_place(reinterpret_cast<std::uintptr_t>(__builtin_return_address(0)));
}
