#include <array>
#include <sstream>
#include <string_view>
#include <vector>

#include "fuzz/engine/mutate.hpp"

namespace collimate::fuzz {

namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

std::string odd_value(Dice& dice) {
  constexpr std::array<std::string_view, 36> kValues{"null",
                                                     "~",
                                                     "true",
                                                     "yes",
                                                     "[]",
                                                     "{}",
                                                     "''",
                                                     "\"\"",
                                                     "-1",
                                                     "0x10",
                                                     "010",
                                                     "1e999",
                                                     ".nan",
                                                     "-.inf",
                                                     "1e-400",
                                                     "18446744073709551616",
                                                     "-9223372036854775809",
                                                     "&a [*a]",
                                                     "*a",
                                                     "&a x",
                                                     "!!binary aGk=",
                                                     "!x y",
                                                     "|",
                                                     ">-",
                                                     "? a",
                                                     "<<: *a",
                                                     "---",
                                                     "...",
                                                     "%YAML 9.9",
                                                     "\"a\\0b\"",
                                                     "'open",
                                                     "\"open",
                                                     "@x",
                                                     "`x",
                                                     "{a: [b, {c: d",
                                                     "- - - -"};
  constexpr std::size_t kMostLetters = 5000;
  switch (dice.below(6)) {
    case 0:
      return std::to_string(static_cast<std::int64_t>(odd_number(dice)));
    case 1:
      return std::string(std::size_t{1} << dice.below(14), dice.one_in(2) ? '[' : '{');
    case 2:
      return std::string(dice.below(kMostLetters), 'n');
    default:
      return std::string(kValues[dice.below(kValues.size())]);
  }
}

void change_value(std::string& line, Dice& dice) {
  const std::size_t colon = line.find(':');
  if (colon == std::string::npos || dice.one_in(8)) {
    line = odd_value(dice);
  } else {
    line = line.substr(0, colon + 1) + " " + odd_value(dice);
  }
}

}  // namespace

std::string mutate_yaml(std::string input, Dice& dice) {
  std::vector<std::string> lines = lines_of(input);
  if (lines.empty() || dice.one_in(4)) return mutate_bytes(std::move(input), dice);
  const std::size_t at = dice.below(lines.size());
  const auto place = lines.begin() + static_cast<std::ptrdiff_t>(at);
  const std::string other = dice.pick(lines);
  switch (dice.below(6)) {
    case 0:
      lines.erase(place);
      break;
    case 1:
      lines.insert(place, other);
      break;
    case 2:
      lines[at].insert(0, 1 + dice.below(4), ' ');
      break;
    case 3:
      lines[at] = lines[at].substr(std::min(lines[at].size(), lines[at].find_first_not_of(' ')));
      break;
    default:
      change_value(lines[at], dice);
  }
  return joined(lines);
}

}  // namespace collimate::fuzz
