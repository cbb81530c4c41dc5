// The configuration of a run: YAML, and `--set` overrides behind a line of their own.

#include <fmt/format.h>

#include "collimate/job/run_config.hpp"
#include "fuzz/engine/mutate.hpp"
#include "fuzz/engine/target.hpp"

namespace collimate::fuzz {

namespace {

constexpr std::string_view kOverridesBegin = "\n%%\n";
constexpr std::string_view kShort =
    "model: {path: MODEL}\nreference: {store: out/reference.h5}\ndata: {train: data/train.h5, eval: data/eval.h5}\n"
    "output: {directory: out/run1}\n";

std::vector<std::string> overrides_of(const std::string& input, std::size_t begin) {
  std::vector<std::string> overrides;
  while (begin < input.size()) {
    const std::size_t end = std::min(input.find('\n', begin), input.size());
    overrides.push_back(input.substr(begin, end - begin));
    begin = end + 1;
  }
  return overrides;
}

}  // namespace

std::vector<std::string> seeds() {
  const std::string text(kShort);
  return {
      text, dump_canonical(load_run_config(text, "run.yaml")),
      fmt::format("{}{}train.learning_rate=1e-3\nparallel.tensor=2\ndata.train=[a.h5, b.h5]\n", text, kOverridesBegin)};
}

void read(const std::string& input) {
  const std::size_t end = std::min(input.find(kOverridesBegin), input.size());
  const auto overrides = overrides_of(input, end + kOverridesBegin.size());
  const RunConfig config = load_run_config(std::string_view(input).substr(0, end), "run.yaml", overrides);
  const std::string canonical = dump_canonical(config);
  const RunConfig again = load_run_config(canonical, "canonical.yaml");
  expect(dump_canonical(again) == canonical && compare(config, again).empty(), "canonical text reads back as the same");
}

std::string mutate(std::string input, Dice& dice) { return mutate_yaml(std::move(input), dice); }

}  // namespace collimate::fuzz
