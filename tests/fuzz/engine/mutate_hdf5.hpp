#pragma once
// Changes of HDF5 files.

#include <string>
#include <vector>

#include "fuzz/engine/dice.hpp"

namespace collimate::fuzz {

/// Changes bytes; or makes another input out of one of `good`, with attributes and datasets of the root as HDF5's own
/// library would write them: of another type, shape, chunking, compression or value, without values, or gone. That
/// library does not survive to open every damaged file for writing, so it gets none.
std::string mutate_hdf5(std::string input, const std::vector<std::string>& good, Dice& dice);

}  // namespace collimate::fuzz
