#pragma once
// A distribution in a few numbers.

#include <span>

#include <nlohmann/json.hpp>

namespace collimate::detail {

/// "mean", "least" and "greatest" of `values`, and "ranges": of each of ten equal ranges between them where it begins
/// ("from") and how many values are in it ("count"). No ranges where all values are the same; null without values.
/// Pure.
nlohmann::ordered_json histogram(std::span<const double> values);

}  // namespace collimate::detail
