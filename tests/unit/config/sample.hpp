#pragma once
// A configuration with a field of every kind, so that the reader is tested without the modules' own structs.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "collimate/config/fields.hpp"
#include "collimate/config/load.hpp"

namespace collimate {

enum class Colour { kRed, kGreen };
enum class Shape { kRound };

template <>
inline constexpr auto enum_names<Colour> =
    std::to_array<EnumName<Colour>>({{Colour::kRed, "red"}, {Colour::kGreen, "green"}});
template <>
inline constexpr auto enum_names<Shape> = std::to_array<EnumName<Shape>>({{Shape::kRound, "round"}});

struct SampleSource {
  std::string path;
  double repeat = 1.0;

  static constexpr std::string_view kShorthandKey = "path";
  bool operator==(const SampleSource&) const = default;
  static constexpr auto fields() {
    return std::tuple{field("path", &SampleSource::path, Role::kOperational, FilePath{}).required(),
                      field("repeat", &SampleSource::repeat, Role::kIdentity, above(0))};
  }
};

struct SampleValues {
  bool flag = false;
  int count = 3;
  std::int64_t wide = 4;
  std::uint64_t seed = 5;
  double rate = 0.5;
  double free = 0.25;
  double open = 0.5;
  double low = -1;
  std::int64_t limit = -1;
  std::string name = "x";
  Colour colour = Colour::kRed;
  Shape shape = Shape::kRound;

  bool operator==(const SampleValues&) const = default;
  static constexpr auto fields() {
    using Values = SampleValues;
    return std::tuple{field("flag", &Values::flag, Role::kIdentity),
                      field("count", &Values::count, Role::kLayout, at_least(1)),
                      field("wide", &Values::wide, Role::kIdentity),
                      field("seed", &Values::seed, Role::kIdentity),
                      field("rate", &Values::rate, Role::kSchedule, between(0, 1)),
                      field("free", &Values::free, Role::kSchedule),
                      field("open", &Values::open, Role::kSchedule, from_to_below(0, 1)),
                      field("low", &Values::low, Role::kSchedule, Range{.high = 0}),
                      field("limit", &Values::limit, Role::kSchedule, CountOrUnlimited{}),
                      field("name", &Values::name, Role::kOperational),
                      field("colour", &Values::colour, Role::kIdentity),
                      field("shape", &Values::shape, Role::kIdentity)};
  }
};

struct SampleLists {
  std::vector<SampleSource> sources;
  std::vector<SampleSource> others;
  std::vector<double> rates = {1.0, 2.0};
  std::vector<Colour> colours;
  std::optional<int> maybe;
  std::optional<std::string> place;
  std::optional<SampleSource> extra;

  bool operator==(const SampleLists&) const = default;
  static constexpr auto fields() {
    return std::tuple{field("sources", &SampleLists::sources, Role::kIdentity).required(),
                      field("others", &SampleLists::others, Role::kSchedule),
                      field("rates", &SampleLists::rates, Role::kIdentity, above(0)),
                      field("colours", &SampleLists::colours, Role::kIdentity),
                      field("maybe", &SampleLists::maybe, Role::kLayout, at_least(1)).unset_as("auto"),
                      field("place", &SampleLists::place, Role::kOperational, FilePath{}),
                      field("extra", &SampleLists::extra, Role::kSchedule)};
  }
};

struct Sample {
  SampleValues values;
  SampleLists lists;

  bool operator==(const Sample&) const = default;
  static constexpr auto fields() {
    return std::tuple{section("values", &Sample::values), section("lists", &Sample::lists)};
  }
};

/// Reads a sample from the text of a file named "f". Throws ConfigError.
inline Sample load_sample(std::string_view text, const std::vector<std::string>& overrides = {}) {
  Findings findings({.source = "f", .line = 1, .column = 1});
  auto sample = load_config<Sample>(text, "f", overrides, findings);
  findings.throw_if_any();
  return sample;
}

/// The message of reading it, or "read" when nothing is wrong.
inline std::string message_of(std::string_view text, const std::vector<std::string>& overrides = {}) {
  try {
    load_sample(text, overrides);
    return "read";
  } catch (const ConfigError& error) {
    return error.what();
  }
}

}  // namespace collimate
