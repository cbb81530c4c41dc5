#pragma once
// Reading and checking which tokens of a preference file are labelled.

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "collimate/data/pair.hpp"
#include "collimate/io/hdf5.hpp"

namespace collimate::detail {

/// The datasets that only a file has of which not all tokens are labelled.
inline constexpr std::array kLabelDatasets{"is_labelled", "num_labelled_chosen_tokens", "num_labelled_rejected_tokens"};

/// The dataset `is_labelled`. *Local.* Throws InputError unless it is uint8 [num_tokens].
Hdf5Dataset open_labels(const Hdf5Reader& reader, std::uint64_t num_tokens);

/// Throws InputError, which begins with `place`, unless the labels of one pair are 0 or 1, 0 in the prompt, and as many
/// in each response as `lengths` says. `is_labelled`: one for each token of the pair.
void require_labels(const std::string& place, const PairLengths& lengths, std::span<const std::uint8_t> is_labelled);

}  // namespace collimate::detail
