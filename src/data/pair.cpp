#include "collimate/data/pair.hpp"

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

std::int64_t num_responses_per_pair(const PairLayout& layout) {
  return layout.responses == Responses::kChosenOnly ? 1 : 2;
}

Hash128 hash_pair(const PairLengths& lengths, std::span<const std::uint32_t> tokens) {
  check(lengths.num_tokens() == static_cast<std::int64_t>(tokens.size()), "a pair has the tokens that its lengths say");
  const std::array counts{static_cast<std::uint32_t>(lengths.num_prompt_tokens),
                          static_cast<std::uint32_t>(lengths.num_chosen_tokens),
                          static_cast<std::uint32_t>(lengths.num_rejected_tokens)};
  StreamingHash hash;
  hash.update(std::as_bytes(std::span(counts)));
  hash.update(std::as_bytes(tokens));
  return hash.digest();
}

}  // namespace collimate
