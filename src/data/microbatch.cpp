#include "collimate/data/microbatch.hpp"

#include <numeric>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

/// One response of a pair.
struct ResponseTokens {
  std::span<const std::uint32_t> tokens;
  std::span<const std::uint8_t> is_labelled;  ///< empty: all of them
  std::int64_t num_labelled = 0;
};

ResponseTokens response_of(const PairTokens& pair, std::int64_t begin, std::int64_t length, std::int64_t num_labelled) {
  const auto part = [&](const auto& values) {
    return std::span(values).subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(length));
  };
  ResponseTokens response{.tokens = part(pair.tokens), .is_labelled = {}, .num_labelled = num_labelled};
  if (!pair.is_labelled.empty()) response.is_labelled = part(pair.is_labelled);
  return response;
}

void check_pair(const PairTokens& pair) {
  const PairLengths& lengths = pair.lengths;
  check(lengths.num_prompt_tokens > 0 && lengths.num_chosen_tokens > 0 && lengths.num_rejected_tokens > 0,
        "no part of a pair is empty");
  check(lengths.num_tokens() == std::ssize(pair.tokens), "a pair has the tokens that its lengths say");
  check(pair.is_labelled.empty() || pair.is_labelled.size() == pair.tokens.size(),
        "a pair has a label for each token, or none");
}

/// Appends whole pairs to one stream.
class StreamBuilder {
 public:
  explicit StreamBuilder(const PairLayout& layout) : layout_(layout) {}

  void add(const PairTokens& pair) {
    check_pair(pair);
    const PairLengths& lengths = pair.lengths;
    const auto prompt = std::span(pair.tokens).first(static_cast<std::size_t>(lengths.num_prompt_tokens));
    for (const Segment& segment : segments_of_pair(lengths, layout_, stream_.num_stream_tokens())) {
      stream_.segments.push_back(segment);
    }
    std::int64_t last_prompt_row = add_tokens(prompt, 0) - 1;
    const std::int64_t chosen_begin = lengths.num_prompt_tokens;
    add_response(response_of(pair, chosen_begin, lengths.num_chosen_tokens, lengths.num_labelled_chosen_tokens),
                 lengths.num_prompt_tokens, last_prompt_row);
    if (layout_.responses == Responses::kBoth) {
      if (!layout_.prefix_sharing) last_prompt_row = add_tokens(prompt, 0) - 1;
      const std::int64_t rejected_begin = chosen_begin + lengths.num_chosen_tokens;
      add_response(response_of(pair, rejected_begin, lengths.num_rejected_tokens, lengths.num_labelled_rejected_tokens),
                   lengths.num_prompt_tokens, last_prompt_row);
    }
    stream_.pair_indices.push_back(static_cast<std::int64_t>(pair.pair_index));
  }

  [[nodiscard]] MicroBatch finish() && { return std::move(stream_); }

 private:
  /// Returns the stream's length after the tokens.
  std::int64_t add_tokens(std::span<const std::uint32_t> tokens, std::int64_t first_position) {
    stream_.tokens.insert(stream_.tokens.end(), tokens.begin(), tokens.end());
    const std::size_t num_before = stream_.positions.size();
    stream_.positions.resize(stream_.tokens.size());
    std::iota(stream_.positions.begin() + static_cast<std::ptrdiff_t>(num_before), stream_.positions.end(),
              first_position);
    return stream_.num_stream_tokens();
  }

  void add_response(const ResponseTokens& response, std::int64_t first_position, std::int64_t last_prompt_row) {
    const std::int64_t first_row = stream_.num_stream_tokens();
    const auto num_rows_before = std::ssize(stream_.rows);
    add_tokens(response.tokens, first_position);
    for (std::size_t i = 0; i < response.tokens.size(); ++i) {
      if (!response.is_labelled.empty() && response.is_labelled[i] == 0) continue;
      const std::int64_t row = i == 0 ? last_prompt_row : first_row + static_cast<std::int64_t>(i) - 1;
      stream_.rows.push_back(
          {.row = row, .label = std::int64_t{response.tokens[i]}, .response_index = stream_.num_responses});
    }
    const auto num_labelled = std::ssize(stream_.rows) - num_rows_before;
    check(num_labelled == response.num_labelled && num_labelled > 0,
          "a response has the labelled tokens that its pair's lengths say, and at least one");
    ++stream_.num_responses;
  }

  PairLayout layout_;
  MicroBatch stream_;
};

}  // namespace

MicroBatch build_microbatch(std::span<const PairTokens> pairs, const PairLayout& layout) {
  StreamBuilder builder(layout);
  for (const PairTokens& pair : pairs) builder.add(pair);
  return std::move(builder).finish();
}

MicroBatchCounts& MicroBatchCounts::operator+=(const MicroBatchCounts& other) {
  num_stream_tokens += other.num_stream_tokens;
  num_labelled_rows += other.num_labelled_rows;
  num_attended_keys += other.num_attended_keys;
  num_windowed_keys += other.num_windowed_keys;
  return *this;
}

MicroBatchCounts count_microbatch(const MicroBatch& microbatch, std::optional<std::int64_t> window) {
  return {.num_stream_tokens = microbatch.num_stream_tokens(),
          .num_labelled_rows = static_cast<std::int64_t>(microbatch.rows.size()),
          .num_attended_keys = num_attended_keys(microbatch.segments),
          .num_windowed_keys = num_attended_keys(microbatch.segments, window)};
}

}  // namespace collimate
