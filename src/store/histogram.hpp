#pragma once
// A distribution in a few lines of text.

#include <span>
#include <string>

namespace collimate::detail {

/// Mean and extremes of `values`, then a line for each of ten equal ranges between them, with its count and a bar; one
/// line where all values are the same. Lines are indented by four. Pure.
std::string histogram(std::span<const double> values);

}  // namespace collimate::detail
