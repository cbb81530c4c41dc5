#pragma once
// A microbatch: one packed stream of tokens, never padded, that a single pipeline action handles. Both responses of a
// pair always stand in the same microbatch.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "collimate/data/pair.hpp"
#include "collimate/data/segment.hpp"

namespace collimate {

/// Stream row `row` predicts the token `label` of response `response_index`. With a shared prefix the last prompt row
/// may stand twice: it predicts the first token of either response, where that is labelled.
struct LabelledRow {
  std::int64_t row = 0;
  std::int64_t label = 0;
  std::int64_t response_index = 0;
  bool operator==(const LabelledRow&) const = default;
};

/// Token stream of some pairs. Everything is in elements; `tokens` and `positions` have one entry a stream row.
struct MicroBatch {
  std::vector<std::int64_t> tokens;
  std::vector<std::int64_t> positions;
  std::vector<Segment> segments;  ///< in stream order, together covering every row once
  std::vector<LabelledRow> rows;  ///< by response, in token order: every labelled token is the label of one row
  std::vector<std::int64_t> pair_indices;  ///< per pair of the microbatch, its index in the data set
  /// Response i of a microbatch: 2 * pair (+ 1 for rejected), or the pair itself where only chosen is laid out.
  std::int64_t num_responses = 0;

  [[nodiscard]] std::int64_t num_stream_tokens() const { return static_cast<std::int64_t>(tokens.size()); }
  [[nodiscard]] std::int64_t num_pairs() const { return static_cast<std::int64_t>(pair_indices.size()); }
};

/// Lays `pairs` into one stream, in the given order. *Local.* No pairs give an empty microbatch, with which a rank
/// joins every collective. Throws InvariantError when a pair's tokens or labels do not match its lengths, a part is
/// empty or a response has no labelled token.
MicroBatch build_microbatch(std::span<const PairTokens> pairs, const PairLayout& layout);

/// What decides a microbatch's matrix-multiplication FLOPs, whatever the model.
struct MicroBatchCounts {
  std::int64_t num_stream_tokens = 0;  ///< rows of every linear layer
  std::int64_t num_labelled_rows = 0;  ///< rows of the language-model head
  std::int64_t num_attended_keys = 0;  ///< (query, key) pairs of one full attention layer
  std::int64_t num_windowed_keys = 0;  ///< the same for a layer with the sliding window; equal without one
  MicroBatchCounts& operator+=(const MicroBatchCounts& other);
  bool operator==(const MicroBatchCounts&) const = default;
};

MicroBatchCounts count_microbatch(const MicroBatch& microbatch, std::optional<std::int64_t> window = std::nullopt);

}  // namespace collimate
