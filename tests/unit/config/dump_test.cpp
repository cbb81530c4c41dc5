#include "collimate/config/dump.hpp"

#include <bit>
#include <cmath>

#include <gtest/gtest.h>

#include "collimate/base/random.hpp"
#include "unit/config/sample.hpp"

namespace collimate {
namespace {

TEST(DumpTest, gives_every_key_with_its_default) {
  Sample sample;
  sample.lists.sources = {{.path = "data/a.h5"}, {.path = "b c", .repeat = 0.5}};
  EXPECT_EQ(dump_canonical_yaml(sample), R"(values:
  flag: false
  count: 3
  wide: 4
  seed: 5
  rate: 0.5
  free: 0.25
  open: 0.5
  low: -1.0
  limit: -1
  name: x
  colour: red
  shape: round
lists:
  sources:
    - path: data/a.h5
      repeat: 1.0
    - path: "b c"
      repeat: 0.5
  others: []
  rates: [1.0, 2.0]
  colours: []
  maybe: auto
  place: null
  extra: null
)");
}

TEST(DumpTest, a_struct_that_may_be_unset_is_a_section_where_it_is_set) {
  EXPECT_EQ(dump_canonical_yaml(SampleLists{.extra = {{.path = "a"}}}),
            "sources: []\nothers: []\nrates: [1.0, 2.0]\ncolours: []\nmaybe: auto\nplace: null\n"
            "extra:\n  path: a\n  repeat: 1.0\n");
}

TEST(DumpTest, floats_have_a_point_for_every_yaml_reader) {
  EXPECT_EQ(canonical_text(5e-7), "5.0e-07");
  EXPECT_EQ(canonical_text(1.25e-8), "1.25e-08");
  EXPECT_EQ(canonical_text(1e22), "1.0e+22");
  EXPECT_EQ(canonical_text(3.0), "3.0");
  EXPECT_EQ(canonical_text(0.1), "0.1");
}

/// Any double that is finite, of all magnitudes alike.
double any_double(const RandomStream& random, std::uint64_t n) {
  const auto value = std::bit_cast<double>(random.bits(n));
  return std::isfinite(value) ? value : 0.5;
}

TEST(DumpTest, every_float_reads_back_as_itself) {
  const RandomStream random(17, "floats");
  for (std::uint64_t n = 0; n < 20000; ++n) {
    const double value = any_double(random, n);
    double read = 0;
    ASSERT_FALSE(convert({.kind = ConfigNode::Kind::kScalar, .text = canonical_text(value)}, read)) << value;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(read), std::bit_cast<std::uint64_t>(value)) << value;
  }
}

/// Text made of what is easily misread: quotes, words of YAML, control characters, characters beyond ASCII.
std::string any_text(const RandomStream& random, std::uint64_t seed) {
  static const std::vector<std::string> pieces = {
      "a", "null", "true", "~", "'",      "\"", "\\", ": ",  " #",  "[",    "]",  "{",  "}",   ",",
      "&", "*",    "!",    "|", ">",      "%",  "@",  "`",   "-",   "?",    "\n", "\t", "\r",  "\x01",
      "1", ".",    "e5",   "é", "\u2028", " ",  "/",  "yes", "0x1", ".inf", "<<", "=",  "---", "..."};
  std::string text;
  const std::uint64_t length = random.below(seed * 10, 6);
  for (std::uint64_t n = 1; n <= length; ++n) text += pieces[random.below(seed * 10 + n, pieces.size())];
  return text;
}

TEST(DumpTest, every_text_reads_back_as_itself) {
  const RandomStream random(17, "texts");
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    Sample sample;
    sample.values.name = any_text(random, seed);
    sample.lists.sources = {{.path = "p" + any_text(random, seed + 3000)}};
    ASSERT_EQ(load_sample(dump_canonical_yaml(sample)), sample) << dump_canonical_yaml(sample);
  }
}

Sample any_sample(const RandomStream& random) {
  Sample sample;
  sample.values = {.flag = random.below(0, 2) == 1,
                   .count = static_cast<int>(1 + random.below(1, 1000)),
                   .wide = static_cast<std::int64_t>(random.bits(2)),
                   .seed = random.bits(3),
                   .rate = static_cast<double>(random.below(4, 1001)) / 1000,
                   .free = any_double(random, 5),
                   .limit = random.below(6, 2) == 1 ? -1 : 8,
                   .colour = random.below(7, 2) == 1 ? Colour::kRed : Colour::kGreen};
  sample.lists.sources.assign(random.below(8, 3), {.path = "a", .repeat = std::exp(random.normal(9))});
  sample.lists.others.assign(random.below(10, 3), {.path = "dir/b.h5"});
  sample.lists.rates.assign(random.below(11, 4), std::exp(random.normal(12)));
  sample.lists.colours.assign(random.below(13, 3), Colour::kGreen);
  if (random.below(14, 2) == 1) sample.lists.maybe = 5;
  if (random.below(15, 2) == 1) sample.lists.place = "auto";
  if (random.below(16, 2) == 1) sample.lists.extra = {.path = "null", .repeat = 0.5};
  return sample;
}

TEST(DumpTest, what_it_gives_reads_back_as_the_same_and_dumps_the_same) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const Sample sample = any_sample(RandomStream(seed, "sample"));
    const std::string text = dump_canonical_yaml(sample);
    const Sample read = load_sample(text);
    ASSERT_EQ(read, sample) << text;
    ASSERT_EQ(dump_canonical_yaml(read), text);
  }
}

}  // namespace
}  // namespace collimate
