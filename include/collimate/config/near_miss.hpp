#pragma once
// "Did you mean": the known word that a misspelt one is nearest to.

#include <optional>
#include <span>
#include <string_view>

namespace collimate {

/// The nearest of `known` by edit distance (insert, delete, replace, swap of neighbours; case does not count), when it
/// is near enough to be meant: at most one edit, or a third of the letters. The first of equally near ones. *Local.*
std::optional<std::string_view> find_near_miss(std::string_view word, std::span<const std::string_view> known);

}  // namespace collimate
