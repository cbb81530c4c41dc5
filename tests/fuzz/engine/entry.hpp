#pragma once
// The functions that libFuzzer calls, and the project's own engine likewise.

#include <cstddef>
#include <cstdint>

extern "C" {

/// Watches allocations from here on. Called once, first.
int LLVMFuzzerInitialize(int* argc, char*** argv);

/// Reads one input. Returns 0; ends the process at a finding.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

/// Changes an input in place, where there is room for `max_size` bytes; an empty one becomes a seed. Returns its new
/// size.
std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned int seed);
}
