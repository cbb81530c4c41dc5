#pragma once
// Changes of inputs that several fuzzers share. All of them are pure: one change for one state of the dice.

#include <cstdint>
#include <string>

#include "fuzz/engine/dice.hpp"

namespace collimate::fuzz {

/// A number that readers are known to get wrong: 0, -1, powers of two and their neighbours, or any.
std::uint64_t odd_number(Dice& dice);

/// Changes bytes: bits, numbers of 1 to 8 bytes, runs that are cut, doubled, moved or inserted, the end cut off.
std::string mutate_bytes(std::string input, Dice& dice);

/// As mutate_bytes, but keeps the size: for formats in which places are fixed. Changes bytes [begin, end) only.
void overwrite_bytes(std::string& input, std::size_t begin, std::size_t end, Dice& dice);

/// Changes the tree of a JSON text: values of other kinds, numbers out of range, keys that are gone, renamed or
/// repeated, deep nesting, strange strings. Text that is no JSON, or is nested deeply, is changed as bytes. Indented by
/// one space.
std::string mutate_json(const std::string& input, Dice& dice);

/// Changes lines and words of YAML: indentation, values, anchors, aliases, tags, documents.
std::string mutate_yaml(std::string input, Dice& dice);

}  // namespace collimate::fuzz
