#pragma once
// The unit of preference data: a prompt with two responses to it. Lengths alone are enough to plan a step; tokens are
// read when a microbatch is built.

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "collimate/base/hash.hpp"

namespace collimate {

/// Token counts of the three parts of a pair, and how many tokens of either response are labelled: log-probs, losses
/// and metrics are of those, and the others are context. None of the counts is 0 in a valid pair.
struct PairLengths {
  std::int64_t num_prompt_tokens = 0;
  std::int64_t num_chosen_tokens = 0;    ///< in the stream, labelled or not
  std::int64_t num_rejected_tokens = 0;  ///< likewise
  std::int64_t num_labelled_chosen_tokens = num_chosen_tokens;
  std::int64_t num_labelled_rejected_tokens = num_rejected_tokens;
  bool operator==(const PairLengths&) const = default;

  [[nodiscard]] std::int64_t num_tokens() const { return num_prompt_tokens + num_chosen_tokens + num_rejected_tokens; }
  /// Tokens of the prompt with the longer one of its responses.
  [[nodiscard]] std::int64_t longest_sequence() const {
    return num_prompt_tokens + std::max(num_chosen_tokens, num_rejected_tokens);
  }
};

/// One pair's tokens in stored order: prompt, chosen, rejected. `tokens` has lengths.num_tokens() elements, and so has
/// `is_labelled`: 0 or 1, and 0 in the prompt. Without elements it says that all response tokens are labelled.
struct PairTokens {
  std::uint64_t pair_index = 0;  ///< where the pair stands in its data set
  PairLengths lengths;
  std::vector<std::uint32_t> tokens;
  std::vector<std::uint8_t> is_labelled;
};

/// Which responses a step needs: the rejected ones are not even laid out when no loss reads them.
enum class Responses { kBoth, kChosenOnly };

/// How a pair is laid into a token stream. With prefix sharing the prompt stands there once, else once a response.
struct PairLayout {
  bool prefix_sharing = true;
  Responses responses = Responses::kBoth;
};

/// Tokens of the stream that one pair takes under `layout`.
std::int64_t num_stream_tokens(const PairLengths& lengths, const PairLayout& layout);

/// Labelled tokens, and so rows of the log-prob head, of one pair under `layout`.
std::int64_t num_labelled_tokens(const PairLengths& lengths, const PairLayout& layout);

/// Responses, and so sums of log-probabilities, of one pair under `layout`: 1 or 2.
std::int64_t num_responses_per_pair(const PairLayout& layout);

/// Identity of a pair's content: XXH3-128 of the three counts of parts, then the tokens and, unless all response tokens
/// are labelled, `is_labelled` of the response tokens, all as uint32 little-endian. Throws InvariantError for tokens or
/// labels of other lengths.
Hash128 hash_pair(const PairLengths& lengths, std::span<const std::uint32_t> tokens,
                  std::span<const std::uint8_t> is_labelled = {});

}  // namespace collimate
