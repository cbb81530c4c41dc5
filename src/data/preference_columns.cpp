#include "preference_columns.hpp"

#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "collimate/base/error.hpp"
#include "collimate/base/problem_list.hpp"

namespace collimate::detail {

namespace {

/// The first thing that is wrong with a pair's extent in `tokens`, if any.
std::optional<std::string> find_wrong_extent(const PairColumns& columns, std::uint64_t row) {
  const std::uint64_t begin = columns.offsets[row];
  const std::uint64_t end = columns.offsets[row + 1];
  if (end < begin) return fmt::format("offsets go from {} back to {}: they must ascend", begin, end);
  const std::uint64_t prompt = columns.num_prompt_tokens[row];
  const std::uint64_t chosen = columns.num_chosen_tokens[row];
  const std::uint64_t rejected = columns.num_rejected_tokens[row];
  if (prompt == 0) return "num_prompt_tokens 0: the prompt is empty; at least 1 token";
  if (chosen == 0) return "num_chosen_tokens 0: the chosen response is empty; at least 1 token";
  if (rejected == 0) return "num_rejected_tokens 0: the rejected response is empty; at least 1 token";
  if (prompt + chosen + rejected == end - begin) return std::nullopt;
  return fmt::format("counts of {} prompt, {} chosen and {} rejected tokens: offsets {} to {} give it {} tokens",
                     prompt, chosen, rejected, begin, end, end - begin);
}

/// A response without a labelled token has no log-prob, and one with more than it has tokens is no response.
std::optional<std::string> find_wrong_label_count(const PairColumns& columns, std::uint64_t row) {
  if (columns.num_labelled_chosen_tokens.empty()) return std::nullopt;
  const auto wrong = [](const char* response, std::uint32_t count, std::uint32_t most) -> std::optional<std::string> {
    if (count >= 1 && count <= most) return std::nullopt;
    return fmt::format("num_labelled_{}_tokens {}: 1 to {}, the tokens of the {} response", response, count, most,
                       response);
  };
  if (auto chosen = wrong("chosen", columns.num_labelled_chosen_tokens[row], columns.num_chosen_tokens[row])) {
    return chosen;
  }
  return wrong("rejected", columns.num_labelled_rejected_tokens[row], columns.num_rejected_tokens[row]);
}

std::optional<std::string> find_wrong_value(const PairColumns& columns, std::uint64_t row, std::size_t num_sources) {
  const float label = columns.labels[row];
  if (!(label >= 0.0F && label <= 1.0F)) return fmt::format("label {}: a probability in [0, 1]", label);
  const float weight = columns.weights[row];
  if (!(std::isfinite(weight) && weight >= 0.0F)) {
    return fmt::format("weight {}: a finite number that is not negative", weight);
  }
  if (columns.sources[row] < num_sources) return std::nullopt;
  return fmt::format("source {}: an index into the {} source_names", columns.sources[row], num_sources);
}

void require_offset_bounds(const std::string& path, const std::vector<std::uint64_t>& offsets,
                           std::uint64_t num_tokens) {
  if (offsets.front() != 0) {
    throw InputError(fmt::format("{}: offsets[0]: {}: the first pair begins at token 0", path, offsets.front()));
  }
  if (offsets.back() == num_tokens) return;
  throw InputError(fmt::format("{}: offsets[{}]: {}: the last pair ends at the end of tokens, {}", path,
                               offsets.size() - 1, offsets.back(), num_tokens));
}

void require_good_pairs(const std::string& path, const PairColumns& columns, std::size_t num_sources) {
  std::uint64_t num_wrong = 0;
  ProblemList problems;
  for (std::uint64_t row = 0; row < columns.labels.size(); ++row) {
    auto problem = find_wrong_extent(columns, row);
    if (!problem) problem = find_wrong_label_count(columns, row);
    if (!problem) problem = find_wrong_value(columns, row, num_sources);
    if (!problem) continue;
    ++num_wrong;
    problems.add(problem->substr(0, problem->find(' ')), fmt::format("pair {}: {}", row, *problem));  // by column
  }
  if (num_wrong == 0) return;
  throw InputError(
      fmt::format("{}: {} of {} pairs are wrong:{}", path, num_wrong, columns.labels.size(), problems.text("\n  ")));
}

}  // namespace

PairColumns read_pair_columns(const Hdf5Reader& reader, std::uint64_t num_tokens,
                              const std::vector<std::string>& source_names, LabelledTokens labelled) {
  const Hdf5Dataset offsets = reader.dataset("offsets");
  if (offsets.shape().size() != 1 || offsets.shape()[0] < 2) {
    throw InputError(
        fmt::format("{}: offsets: shape [{}]: one more than pairs, of which there is at least one: the data "
                    "set is empty",
                    reader.path(), fmt::join(offsets.shape(), ", ")));
  }
  const std::uint64_t num_pairs = offsets.shape()[0] - 1;
  PairColumns columns{.offsets = offsets.read<std::uint64_t>(),
                      .num_prompt_tokens = reader.read<std::uint32_t>("num_prompt_tokens", {num_pairs}),
                      .num_chosen_tokens = reader.read<std::uint32_t>("num_chosen_tokens", {num_pairs}),
                      .num_rejected_tokens = reader.read<std::uint32_t>("num_rejected_tokens", {num_pairs}),
                      .labels = reader.read<float>("label", {num_pairs}),
                      .weights = reader.read<float>("weight", {num_pairs}),
                      .sources = reader.read<std::uint16_t>("source", {num_pairs}),
                      .pair_ids = reader.read<std::uint64_t>("pair_id", {num_pairs, 2})};
  if (labelled == LabelledTokens::kAssistant) {
    columns.num_labelled_chosen_tokens = reader.read<std::uint32_t>("num_labelled_chosen_tokens", {num_pairs});
    columns.num_labelled_rejected_tokens = reader.read<std::uint32_t>("num_labelled_rejected_tokens", {num_pairs});
  }
  require_offset_bounds(reader.path(), columns.offsets, num_tokens);
  require_good_pairs(reader.path(), columns, source_names.size());
  return columns;
}

}  // namespace collimate::detail
