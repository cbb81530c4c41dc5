#include "collimate/data/microbatch.hpp"

#include <numeric>

#include "collimate/base/error.hpp"

namespace collimate {

namespace {

/// Appends whole pairs to one stream.
class StreamBuilder {
 public:
  explicit StreamBuilder(const PairLayout& layout) : layout_(layout) {}

  void add(const PairTokens& pair) {
    const PairLengths& lengths = pair.lengths;
    check(lengths.num_prompt_tokens > 0 && lengths.num_chosen_tokens > 0 && lengths.num_rejected_tokens > 0,
          "no part of a pair is empty");
    check(lengths.num_tokens() == static_cast<std::int64_t>(pair.tokens.size()),
          "a pair has the tokens that its lengths say");
    const std::span<const std::uint32_t> all(pair.tokens);
    const auto prompt = all.first(static_cast<std::size_t>(lengths.num_prompt_tokens));
    const auto chosen = all.subspan(prompt.size(), static_cast<std::size_t>(lengths.num_chosen_tokens));
    const auto rejected = all.subspan(prompt.size() + chosen.size());

    for (const Segment& segment : segments_of_pair(lengths, layout_, stream_.num_stream_tokens())) {
      stream_.segments.push_back(segment);
    }
    std::int64_t last_prompt_row = add_tokens(prompt, 0) - 1;
    add_response(chosen, lengths.num_prompt_tokens, last_prompt_row);
    if (layout_.responses == Responses::kBoth) {
      if (!layout_.prefix_sharing) last_prompt_row = add_tokens(prompt, 0) - 1;
      add_response(rejected, lengths.num_prompt_tokens, last_prompt_row);
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

  void add_response(std::span<const std::uint32_t> tokens, std::int64_t first_position, std::int64_t last_prompt_row) {
    std::int64_t row = stream_.num_stream_tokens();
    add_tokens(tokens, first_position);
    std::int64_t predicting_row = last_prompt_row;
    for (const std::uint32_t token : tokens) {
      stream_.rows.push_back(
          {.row = predicting_row, .label = std::int64_t{token}, .response_index = stream_.num_responses});
      predicting_row = row++;
    }
    stream_.num_response_tokens.push_back(static_cast<std::int64_t>(tokens.size()));
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
