#pragma once
// Reading and checking the per-pair columns of a preference file: the part of opening that is about single pairs.

#include <string>
#include <vector>

#include "collimate/data/preference_file.hpp"

namespace collimate::detail {

/// Reads all columns of a file that labels such tokens, with the types and lengths that the format fixes, and checks
/// every pair in them. Throws InputError.
PairColumns read_pair_columns(const Hdf5Reader& reader, std::uint64_t num_tokens,
                              const std::vector<std::string>& source_names, LabelledTokens labelled);

}  // namespace collimate::detail
