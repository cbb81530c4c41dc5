#include "token_labels.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "collimate/base/error.hpp"

namespace collimate::detail {

namespace {

using Labels = std::span<const std::uint8_t>;

void require_count(const std::string& place, const char* response, Labels labels, std::int64_t count) {
  const auto found = std::ranges::count(labels, std::uint8_t{1});
  if (found == count) return;
  throw InputError(fmt::format("{}: num_labelled_{}_tokens {}: is_labelled is 1 for {} tokens of the {} response",
                               place, response, count, found, response));
}

}  // namespace

Hdf5Dataset open_labels(const Hdf5Reader& reader, std::uint64_t num_tokens) {
  Hdf5Dataset labels = reader.dataset("is_labelled");
  if (labels.type() != Hdf5Type::kUint8) {
    throw InputError(fmt::format("{}: is_labelled: another type than uint8: uint8, one for each token", reader.path()));
  }
  labels.require_shape({num_tokens});
  return labels;
}

void require_labels(const std::string& place, const PairLengths& lengths, Labels is_labelled) {
  const auto wrong = std::ranges::find_if(is_labelled, [](std::uint8_t value) { return value > 1; });
  if (wrong != is_labelled.end()) {
    throw InputError(
        fmt::format("{}: is_labelled {} of token {} of the pair: 0 or 1", place, *wrong, wrong - is_labelled.begin()));
  }
  const Labels prompt = is_labelled.first(static_cast<std::size_t>(lengths.num_prompt_tokens));
  const auto in_prompt = std::ranges::find(prompt, std::uint8_t{1});
  if (in_prompt != prompt.end()) {
    throw InputError(fmt::format("{}: is_labelled 1 of token {} of the pair: 0 for the {} tokens of its prompt", place,
                                 in_prompt - prompt.begin(), prompt.size()));
  }
  const Labels responses = is_labelled.subspan(prompt.size());
  const auto num_chosen = static_cast<std::size_t>(lengths.num_chosen_tokens);
  require_count(place, "chosen", responses.first(num_chosen), lengths.num_labelled_chosen_tokens);
  require_count(place, "rejected", responses.subspan(num_chosen), lengths.num_labelled_rejected_tokens);
}

}  // namespace collimate::detail
