#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "fuzz/engine/mutate.hpp"

namespace collimate::fuzz {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostNested = 100;

/// How deep brackets go, those in strings counted too.
std::size_t nesting(std::string_view text) {
  std::size_t depth = 0;
  std::size_t deepest = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if ((c == ']' || c == '}') && depth > 0) --depth;
  }
  return deepest;
}

std::string nested(Dice& dice) {
  const std::size_t depth = std::size_t{1} << (4 + dice.below(12));
  const bool is_list = dice.one_in(2);
  std::string text;
  for (std::size_t i = 0; i < depth; ++i) text += is_list ? "[" : "{\"a\":";
  text += "1";
  return text + std::string(depth, is_list ? ']' : '}');
}

/// The text of a value that the file did not have.
std::string odd_token(Dice& dice) {
  constexpr std::array<std::string_view, 30> kTokens{"null",
                                                     "true",
                                                     "false",
                                                     "[]",
                                                     "{}",
                                                     "\"\"",
                                                     "\"x\"",
                                                     "-1",
                                                     "-0",
                                                     "0.5",
                                                     "1e999",
                                                     "-1e999",
                                                     "1e308",
                                                     "1e-400",
                                                     "18446744073709551615",
                                                     "18446744073709551616",
                                                     "-9223372036854775808",
                                                     "9223372036854775807",
                                                     "2147483648",
                                                     "4294967296",
                                                     "NaN",
                                                     "Infinity",
                                                     "{\"a\":1,\"a\":2}",
                                                     "\"\\ud800\"",
                                                     "\"a\\u0000b\"",
                                                     "\"\\u001b[31m\\n\"",
                                                     "\"../../x\"",
                                                     "[0,0]",
                                                     "[-1,9223372036854775807]",
                                                     "\"F64\""};
  constexpr std::size_t kMostLetters = 5000;
  switch (dice.below(8)) {
    case 0:
      return std::to_string(odd_number(dice));
    case 1:
      return std::to_string(static_cast<std::int64_t>(odd_number(dice)));
    case 2:
      return nested(dice);
    case 3:
      return fmt::format("\"{}\"", std::string(dice.below(kMostLetters), 'n'));
    default:
      return std::string(kTokens[dice.below(kTokens.size())]);
  }
}

/// Every value of the tree, containers included.
void collect(Json& value, std::vector<Json*>& values) {
  values.push_back(&value);
  if (!value.is_structured()) return;
  for (auto& item : value) collect(item, values);
}

/// Stands for a token that the library could not write.
constexpr std::string_view kMark = "@token@";

void change_object(Json& object, Dice& dice) {
  auto entry = std::next(object.begin(), static_cast<std::ptrdiff_t>(dice.below(object.size())));
  const Json value = *entry;
  const std::string key = entry.key();
  switch (dice.below(3)) {
    case 0:
      object.erase(key);
      break;
    case 1:
      object[key + "x"] = value;
      object.erase(key);
      break;
    default:  // written as a second entry of the same key
      object[fmt::format("{}{}", key, kMark)] = value;
  }
}

void change_list(Json& list, Dice& dice) {
  const std::size_t at = dice.below(list.size());
  const auto place = std::next(list.begin(), static_cast<std::ptrdiff_t>(at));
  const Json value = *place;
  switch (dice.below(3)) {
    case 0:
      list.erase(at);
      break;
    case 1:
      list.insert(place, value);
      break;
    default:
      std::swap(list[at], list[dice.below(list.size())]);
  }
}

void replace_all(std::string& text, std::string_view what, const std::string& by) {
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

}  // namespace

std::string mutate_json(const std::string& input, Dice& dice) {
  if (dice.one_in(6) || nesting(input) > kMostNested) return mutate_bytes(input, dice);
  Json tree = Json::parse(input, nullptr, /*allow_exceptions=*/false);
  if (tree.is_discarded()) return mutate_bytes(input, dice);
  std::vector<Json*> values;
  collect(tree, values);
  Json& chosen = *dice.pick(values);
  const Json other = *dice.pick(values);
  const bool is_filled = chosen.is_structured() && !chosen.empty();
  if (is_filled && !dice.one_in(4)) {
    chosen.is_object() ? change_object(chosen, dice) : change_list(chosen, dice);
  } else if (chosen.is_number_integer() && dice.one_in(3)) {
    chosen = static_cast<std::int64_t>(chosen.get<std::uint64_t>() + dice.below(3) - 1);
  } else if (dice.one_in(4)) {
    chosen = other;
  } else {
    chosen = kMark;
  }
  std::string text = tree.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
  replace_all(text, fmt::format("\"{}\"", kMark), odd_token(dice));
  replace_all(text, kMark, "");
  return text;
}

}  // namespace collimate::fuzz
