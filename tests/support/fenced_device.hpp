#pragma once
// A second device, for tests of what must run on a GPU: its memory lies in the host but is closed to it, like a GPU's.
// Operators of ATen are the only way in: each opens its tensors, computes by the CPU's kernel and closes them again. So
// a loop over data pointers, a library that is given one, or an operator that mixes both devices ends the test.

#include <c10/core/Device.h>

namespace collimate::test {

/// The device, libtorch's fenced:0.
c10::Device fenced_device();

}  // namespace collimate::test
