#include "collimate/data/pair.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "collimate/base/error.hpp"

namespace collimate {

static_assert(std::endian::native == std::endian::little, "pair ids hash the tokens' little-endian bytes in place");

std::int64_t num_stream_tokens(const PairLengths& lengths, const PairLayout& layout) {
  const std::int64_t chosen = lengths.num_prompt_tokens + lengths.num_chosen_tokens;
  if (layout.responses == Responses::kChosenOnly) return chosen;
  return chosen + lengths.num_rejected_tokens + (layout.prefix_sharing ? 0 : lengths.num_prompt_tokens);
}

std::int64_t num_labelled_tokens(const PairLengths& lengths, const PairLayout& layout) {
  const bool has_rejected = layout.responses == Responses::kBoth;
  return lengths.num_labelled_chosen_tokens + (has_rejected ? lengths.num_labelled_rejected_tokens : 0);
}

std::int64_t num_responses_per_pair(const PairLayout& layout) {
  return layout.responses == Responses::kChosenOnly ? 1 : 2;
}

Hash128 hash_pair(const PairLengths& lengths, std::span<const std::uint32_t> tokens,
                  std::span<const std::uint8_t> is_labelled) {
  check(lengths.num_tokens() == static_cast<std::int64_t>(tokens.size()), "a pair has the tokens that its lengths say");
  check(is_labelled.empty() || is_labelled.size() == tokens.size(), "a pair has a label for each token, or none");
  const std::array counts{static_cast<std::uint32_t>(lengths.num_prompt_tokens),
                          static_cast<std::uint32_t>(lengths.num_chosen_tokens),
                          static_cast<std::uint32_t>(lengths.num_rejected_tokens)};
  StreamingHash hash;
  hash.update(std::as_bytes(std::span(counts)));
  hash.update(std::as_bytes(tokens));
  if (!is_labelled.empty()) {
    const auto labels = is_labelled.subspan(static_cast<std::size_t>(lengths.num_prompt_tokens));
    const std::vector<std::uint32_t> words(labels.begin(), labels.end());
    if (std::ranges::count(words, 0U) > 0) hash.update(std::as_bytes(std::span(words)));
  }
  return hash.digest();
}

}  // namespace collimate
