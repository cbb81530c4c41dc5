#include <algorithm>
#include <array>
#include <cstring>

#include "fuzz/engine/mutate.hpp"

namespace collimate::fuzz {

namespace {

/// A run inside `input`, of 1 to 64 bytes mostly.
struct Run {
  std::size_t begin;
  std::size_t length;
};

Run any_run(const std::string& input, Dice& dice) {
  const std::size_t begin = dice.below(input.size());
  const std::size_t most = dice.one_in(4) ? input.size() - begin : std::min<std::size_t>(input.size() - begin, 64);
  return {begin, 1 + dice.below(most)};
}

void insert_bytes(std::string& input, Dice& dice) {
  constexpr std::size_t kMostInserted = 16;
  std::string bytes(1 + dice.below(kMostInserted), static_cast<char>(dice.bits()));
  if (dice.one_in(2)) std::ranges::generate(bytes, [&] { return static_cast<char>(dice.bits()); });
  input.insert(dice.below(input.size() + 1), bytes);
}

/// Replaces the digits at some place by another number.
void change_digits(std::string& input, Dice& dice) {
  constexpr std::string_view kDigits = "0123456789";
  const std::size_t from = dice.below(input.size());
  const std::size_t begin = input.find_first_of(kDigits, from);
  if (begin == std::string::npos) return;
  const std::size_t end = std::min(input.find_first_not_of(kDigits, begin), input.size());
  const std::uint64_t number = odd_number(dice);
  input.replace(begin, end - begin,
                dice.one_in(2) ? std::to_string(number) : std::to_string(static_cast<std::int64_t>(number)));
}

}  // namespace

std::uint64_t odd_number(Dice& dice) {
  constexpr std::array<std::uint64_t, 6> kSmall{0, 1, 2, 3, 7, 100};
  switch (dice.below(4)) {
    case 0:
      return kSmall[dice.below(kSmall.size())];
    case 1:
      return std::uint64_t{0} - dice.below(3);
    case 2:
      return (std::uint64_t{1} << dice.below(64)) + dice.below(3) - 1;
    default:
      return dice.bits() >> dice.below(64);
  }
}

void overwrite_bytes(std::string& input, std::size_t begin, std::size_t end, Dice& dice) {
  if (begin >= end) return;
  const std::size_t at = begin + dice.below(end - begin);
  if (dice.one_in(2)) {
    const std::uint64_t number = odd_number(dice);
    const std::size_t width = std::min<std::size_t>(std::size_t{1} << dice.below(4), end - at);
    std::memcpy(input.data() + at, &number, width);
  } else {
    input[at] = static_cast<char>(dice.one_in(2) ? input[at] ^ (1 << dice.below(8)) : static_cast<int>(dice.bits()));
  }
}

std::string mutate_bytes(std::string input, Dice& dice) {
  if (input.empty()) {
    insert_bytes(input, dice);
    return input;
  }
  const Run run = any_run(input, dice);
  switch (dice.below(8)) {
    case 0:
      input.erase(run.begin, run.length);
      break;
    case 1:
      input.insert(dice.below(input.size() + 1), input.substr(run.begin, run.length));
      break;
    case 2:
      insert_bytes(input, dice);
      break;
    case 3:
      input.resize(dice.below(input.size()));
      break;
    case 4:
      change_digits(input, dice);
      break;
    default:
      overwrite_bytes(input, 0, input.size(), dice);
  }
  return input;
}

}  // namespace collimate::fuzz
