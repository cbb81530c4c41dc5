#pragma once
// Random choices of the mutators: the same ones for the same seed.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <random>

namespace collimate::fuzz {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : generator_(seed) {}

  [[nodiscard]] std::uint64_t bits() { return generator_(); }
  /// In [0, bound), 0 where `bound` is 0.
  [[nodiscard]] std::size_t below(std::size_t bound) { return bound == 0 ? 0 : generator_() % bound; }
  [[nodiscard]] bool one_in(std::size_t count) { return below(count) == 0; }
  /// One of the elements of `range`, which is not empty.
  template <class Range>
  [[nodiscard]] auto& pick(Range& range) {
    return *std::next(std::begin(range), static_cast<std::ptrdiff_t>(below(std::size(range))));
  }

 private:
  std::mt19937_64 generator_;
};

}  // namespace collimate::fuzz
